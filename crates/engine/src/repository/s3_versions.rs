//! Versions of one object on S3, for which `object_store` has no call.
//!
//! Lives here: deleting a version, asking until when it is locked. May not: anything that a backup needs.
//! Requests are signed with the same credentials as all others ("Signature Version 4" of Amazon's documentation).

use domain::{tamper::Answer, units::Timestamp};
use http::{Method, header::HeaderName};
use object_store::{
    aws::{AmazonS3, AwsAuthorizer},
    client::{HttpClient, HttpConnector as _, HttpRequestBody, ReqwestConnector},
    path::Path,
};

use super::{storage, tamper};
use crate::{EngineError, ErrorKind, Result, job::Access};

/// An object with all of its versions.
pub(super) struct Object {
    store: AmazonS3,
    client: HttpClient,
    region: String,
    url: String,
}

impl Object {
    pub fn of(access: &Access, bucket: &str, prefix: &str, path: &Path) -> Result<Self> {
        let options = storage::client_options(access)?;
        let client =
            ReqwestConnector::default().connect(&options).map_err(|e| EngineError::with_source(ErrorKind::Internal, "an HTTP client cannot be made", e))?;
        let region = access.options.get("region").cloned().unwrap_or_else(|| storage::REGION.to_owned());
        let endpoint = access.options.get("endpoint").map_or_else(|| format!("https://s3.{region}.amazonaws.com"), |e| e.trim_end_matches('/').to_owned());
        let key = if prefix.is_empty() { path.to_string() } else { format!("{prefix}/{path}") };
        let url = format!("{endpoint}/{bucket}/{}", encoded(&key));
        Ok(Self { store: storage::amazon(access, bucket)?, client, region, url })
    }

    /// Deletes a version, or hides the object where none is given: then the second value is that of the delete marker.
    /// `bypass` claims the right to delete what is locked in governance mode.
    ///
    /// # Errors
    /// `Unavailable` where there is no answer.
    pub async fn delete(&self, version: Option<&str>, bypass: bool) -> Result<(Answer, Option<String>)> {
        let bypass: &[(&str, &str)] = if bypass { &[("x-amz-bypass-governance-retention", "true")] } else { &[] };
        let (status, headers, body) = self.call(Method::DELETE, version, bypass).await?;
        let marker = headers.get("x-amz-version-id").and_then(|v| v.to_str().ok()).filter(|_| version.is_none()).map(str::to_owned);
        let said = match status {
            200..300 => Answer::Done,
            401 | 403 => Answer::Refused,
            _ if says_locked(&body) => Answer::Refused,
            _ => Answer::Other(format!("{status} {}", body.chars().take(200).collect::<String>().replace('\n', " "))),
        };
        Ok((said, marker))
    }

    /// Until when the storage says that it keeps a version; `None` where it says nothing.
    pub async fn locked_until(&self, version: &str) -> Result<Option<Timestamp>> {
        let (_, headers, _) = self.call(Method::HEAD, Some(version), &[]).await?;
        Ok(headers.get("x-amz-object-lock-retain-until-date").and_then(|v| v.to_str().ok()).and_then(tamper::moment))
    }

    async fn call(&self, method: Method, version: Option<&str>, headers: &[(&str, &str)]) -> Result<(u16, http::HeaderMap, String)> {
        let away = |e: &dyn std::fmt::Display| EngineError::new(ErrorKind::Unavailable, format!("{method} of the probe: {e}"));
        let broken = |e: &dyn std::fmt::Display| EngineError::new(ErrorKind::Internal, format!("{method} of the probe: {e}"));
        let url = version.map_or_else(|| self.url.clone(), |v| format!("{}?versionId={}", self.url, encoded(v)));
        let mut request = http::Request::builder().method(method.clone()).uri(url).body(HttpRequestBody::empty()).map_err(|e| broken(&e))?;
        for (name, value) in headers {
            let name: HeaderName = name.parse().map_err(|e| broken(&e))?;
            request.headers_mut().insert(name, value.parse().map_err(|e| broken(&e))?);
        }
        let credential = self.store.credentials().get_credential().await.map_err(|e| away(&e))?;
        AwsAuthorizer::new(&credential, "s3", &self.region).try_authorize(&mut request, None).map_err(|e| broken(&e))?;
        let answer = self.client.execute(request).await.map_err(|e| away(&e))?;
        let (head, body) = answer.into_parts();
        let body = body.bytes().await.map_err(|e| away(&e))?;
        Ok((head.status.as_u16(), head.headers, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// Whether the words of an error say that a lock forbids it. Some stores answer so with another status than 403.
pub(super) fn says_locked(words: &str) -> bool {
    ["AccessDenied", "WORM", "ObjectLocked", "object lock", "retention"].iter().any(|w| words.contains(w))
}

/// RFC 3986: everything but the unreserved characters and `/`.
fn encoded(key: &str) -> String {
    use std::fmt::Write as _;
    key.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b'/') {
            out.push(char::from(b));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_and_locks_are_heard() {
        assert_eq!(encoded("some/deep prefix/data/ü"), "some/deep%20prefix/data/%C3%BC");
        assert!(says_locked("<Code>InvalidRequest</Code><Message>Object is WORM protected and cannot be overwritten"));
        assert!(!says_locked("<Code>NotImplemented</Code>"));
    }
}

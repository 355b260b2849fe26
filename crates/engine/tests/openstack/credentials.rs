//! Every way to prove oneself, and what is said where it fails.

use std::collections::BTreeMap;

use domain::units::Timestamp;
use engine::{
    ErrorKind,
    job::Secret,
    sources::openstack::{Cloud, CloudConfig},
};
use reqwest::Method;
use serde_json::json;

use super::{Hand, LIMITS, by_password, config, entry, kind, lab, skipped};

#[tokio::test]
async fn every_way_to_prove_oneself_leads_to_the_project() {
    if skipped() {
        return;
    }
    let hand = Hand::new("lab").await;
    let own = |cloud: &Cloud| (cloud.project_id().to_owned(), cloud.project_name().to_owned());
    let want = (hand.project.clone(), "lab".to_owned());
    let now = engine::clock::now();

    let password = lab().await;
    assert_eq!(own(&password), want);
    let told = password.credential(now).await.unwrap();
    assert_eq!((told.user.as_str(), told.expires_at, told.trouble), ("lab", None, None));
    assert!(told.roles.contains(&"member".to_owned()));

    let (id, secret) = hand.credential("e-by-id", json!({"expires_at": "2099-01-01T00:00:00"})).await;
    let secret = Secret::new(secret);
    let by_id = Cloud::connect(&config(&[("application_credential_id", &id)]), &secret, LIMITS, None).await.unwrap();
    assert_eq!(own(&by_id), want);
    let told = by_id.credential(now).await.unwrap();
    assert_eq!((told.expires_at, told.trouble, &told.roles[..]), (Some(Timestamp::from_secs(4_070_908_800)), None, &["member".to_owned()][..]));
    let by_name = config(&[("application_credential_name", "e-by-id"), ("username", "lab"), ("user_domain", "Default"), ("interface", "internal")]);
    let by_name = Cloud::connect(&by_name, &secret, LIMITS, None).await.unwrap();
    assert_eq!(own(&by_name), want);
    by_name.servers(None, 1).await.unwrap();
    hand.drop_credential(&id).await;

    let trustee = Hand::new("lab-trustee").await;
    // The same trust cannot be made twice, even after its end: its time tells them apart.
    let ends = (now.as_secs() + 3_600 + i64::from(std::process::id() % 1_000)).to_string();
    let ends = jiff::Timestamp::from_second(ends.parse().unwrap()).unwrap().to_string().replace('Z', ".000000Z");
    let wanted = json!({"trust": {"trustor_user_id": hand.user, "trustee_user_id": trustee.user, "project_id": hand.project, "impersonation": true,
        "roles": [{"name": "member"}], "expires_at": ends}});
    let trust = hand.good(Method::POST, "identity", "/OS-TRUST/trusts", Some(wanted)).await["trust"]["id"].as_str().unwrap().to_owned();
    let options = [("auth", "trust"), ("username", "lab-trustee"), ("trust_id", trust.as_str())];
    let password = Secret::new(entry("lab-trustee").password);
    let trusted = Cloud::connect(&config(&options), &password, LIMITS, None).await.unwrap();
    assert_eq!(own(&trusted), want);
    trusted.servers(None, 1).await.unwrap();
    let told = trusted.credential(now).await.unwrap();
    assert!(told.expires_at.is_some_and(|e| e > now) && told.trouble.is_none(), "{told:?}");
    hand.good(Method::DELETE, "identity", &format!("/OS-TRUST/trusts/{trust}"), None).await;
    let (denied, message) = kind(Cloud::connect(&config(&options), &password, LIMITS, None).await);
    assert_eq!(denied, ErrorKind::Denied);
    assert!(message.contains("the trust has expired or was deleted"), "{message}");
}

#[tokio::test]
async fn wrong_and_deleted_credentials_are_told_apart() {
    if skipped() {
        return;
    }
    let hand = Hand::new("lab").await;
    let (id, secret) = hand.credential("e-lost", json!({})).await;
    let options = config(&[("application_credential_id", &id)]);
    let wrong = Secret::new("not-the-secret");
    let (denied, message) = kind(Cloud::connect(&options, &wrong, LIMITS, None).await);
    assert_eq!(denied, ErrorKind::Denied);
    assert!(message.contains("HTTP 401") && message.contains("the secret is wrong") && message.contains("(request req-"), "{message}");
    assert!(!message.contains("not-the-secret"));
    let secret = Secret::new(secret);
    let cloud = Cloud::connect(&options, &secret, LIMITS, None).await.unwrap();
    hand.drop_credential(&id).await;
    let (denied, message) = kind(Cloud::connect(&options, &secret, LIMITS, None).await);
    assert_eq!(denied, ErrorKind::Denied);
    assert!(message.contains("HTTP 404") && message.contains("does not exist, or was deleted; make a new one"), "{message}");
    assert_eq!(kind(cloud.credential(Timestamp(0)).await).0, ErrorKind::Denied);
    // Also in the middle of work: nothing is taken for missing. Nova has not seen the token before and asks Keystone.
    assert_eq!(kind(cloud.server("00000000-0000-0000-0000-000000000000").await).0, ErrorKind::Denied);
    let (denied, message) = kind(Cloud::connect(&by_password("lab").0, &wrong, LIMITS, None).await);
    assert!(denied == ErrorKind::Denied && message.contains("the user, the password or the project is wrong"), "{message}");
}

#[tokio::test]
async fn a_credential_with_access_rules_says_what_it_lacks() {
    if skipped() {
        return;
    }
    let hand = Hand::new("lab").await;
    let me = "/v3/users/*/application_credentials/*";
    let rule = |service: &str, path: &str| json!({"service": service, "method": "GET", "path": path});
    let rules = json!({"access_rules": [rule("compute", "/v2.1/servers/detail"), rule("identity", me)]});
    let (id, secret) = hand.credential("e-narrow", rules).await;
    let cloud = Cloud::connect(&config(&[("application_credential_id", &id)]), &Secret::new(secret), LIMITS, None).await;
    let told = match &cloud {
        Ok(cloud) => Some((cloud.credential(Timestamp(0)).await, cloud.images(None, 1).await)),
        Err(_) => None,
    };
    hand.drop_credential(&id).await;
    let (told, images) = told.unwrap_or_else(|| panic!("{cloud:?}"));
    let trouble = told.unwrap().trouble.unwrap();
    assert!(trouble.contains("POST compute /v2.1/servers/x/action"), "{trouble}");
    assert_eq!(kind(images).0, ErrorKind::Denied);
}

#[tokio::test]
async fn a_credential_that_can_only_read_says_so() {
    if skipped() {
        return;
    }
    let hand = Hand::new("lab").await;
    let (id, secret) = hand.credential("e-reader", json!({"roles": [{"name": "reader"}]})).await;
    let cloud = Cloud::connect(&config(&[("application_credential_id", &id)]), &Secret::new(secret), LIMITS, None).await.unwrap();
    let told = cloud.credential(Timestamp(0)).await;
    hand.drop_credential(&id).await;
    let told = told.unwrap();
    assert_eq!(told.roles, ["reader"]);
    assert!(told.trouble.unwrap().contains("the role reader alone in the project and cannot make snapshots"));
}

#[tokio::test]
async fn regions_and_places_that_are_not_there_are_named() {
    if skipped() {
        return;
    }
    let (_, secret) = by_password("lab");
    let e = entry("lab");
    let (answer, message) = kind(
        Cloud::connect(&config(&[("auth", "password"), ("username", &e.username), ("project", &e.project), ("region", "Elsewhere")]), &secret, LIMITS, None)
            .await,
    );
    assert_eq!(answer, ErrorKind::Invalid);
    assert!(message.contains("not in the region “Elsewhere”; set `region` to one of: RegionOne"), "{message}");
    let plain = BTreeMap::from([("application_credential_id".to_owned(), "x".to_owned())]);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = CloudConfig::of(&format!("openstack+http://{nobody}/v3"), &plain).unwrap();
    assert_eq!(kind(Cloud::connect(&nowhere, &secret, LIMITS, None).await).0, ErrorKind::Unavailable);
}

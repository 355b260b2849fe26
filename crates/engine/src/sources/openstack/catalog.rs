//! Where the services of a cloud are.
//!
//! Lives here: the services, and their addresses out of the catalogue that comes with a token. May not: requests.

use std::{collections::BTreeSet, fmt};

use reqwest::Url;
use serde::Deserialize;

use super::{
    config::{CloudConfig, Interface},
    refusal::Failed,
};

/// The services that are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Service {
    Identity,
    Compute,
    Image,
    Volume,
    Network,
}

impl Service {
    /// How people call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "Keystone",
            Self::Compute => "Nova",
            Self::Image => "Glance",
            Self::Volume => "Cinder",
            Self::Network => "Neutron",
        }
    }

    /// Its types in a catalogue, the usual one first.
    const fn types(self) -> &'static [&'static str] {
        match self {
            Self::Identity => &["identity"],
            Self::Compute => &["compute"],
            Self::Image => &["image"],
            Self::Volume => &["volumev3", "block-storage", "block-store", "volume"],
            Self::Network => &["network"],
        }
    }

    /// The segment of its version, where the API has one for all its calls.
    const fn version(self) -> &'static str {
        match self {
            Self::Identity | Self::Volume => "v3",
            Self::Compute => "v2.1",
            Self::Image => "v2",
            Self::Network => "v2.0",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, Deserialize)]
struct Endpoint {
    interface: String,
    region: Option<String>,
    region_id: Option<String>,
    url: String,
}

impl Endpoint {
    fn region(&self) -> Option<&str> {
        self.region.as_deref().or(self.region_id.as_deref())
    }
}

/// The catalogue of one project.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalog(pub Vec<Entry>);

impl Catalog {
    /// The address of a service, with the segment of its version at its place.
    pub fn address(&self, service: Service, config: &CloudConfig) -> Result<Url, Failed> {
        let of_type = |t: &str| self.0.iter().filter(|e| e.kind == t).flat_map(|e| &e.endpoints).collect::<Vec<_>>();
        let all = service.types().iter().map(|t| of_type(t)).find(|e| !e.is_empty()).unwrap_or_default();
        let name = service.types()[0];
        if all.is_empty() {
            return Err(Failed::invalid(format!("{service} is not in the cloud's catalogue for this project (type {name}); ask the cloud's operators")));
        }
        let interface = config.interface.as_str();
        let facing: Vec<&Endpoint> = all.iter().copied().filter(|e| e.interface == interface).collect();
        let regions: BTreeSet<&str> = facing.iter().filter_map(|e| e.region()).collect();
        let list = |of: &BTreeSet<&str>| of.iter().copied().collect::<Vec<_>>().join(", ");
        if facing.is_empty() {
            let others: BTreeSet<&str> = all.iter().map(|e| e.interface.as_str()).collect();
            return Err(Failed::invalid(format!("{service} has no {interface} address in the catalogue; set `interface` to one of: {}", list(&others))));
        }
        let chosen = match config.region.as_deref() {
            Some(region) => facing.iter().find(|e| e.region() == Some(region)),
            None if regions.len() > 1 => {
                return Err(Failed::invalid(format!("the cloud has several regions; set `region` to one of: {}", list(&regions))));
            }
            None => facing.first(),
        };
        let Some(chosen) = chosen else {
            let wanted = config.region.as_deref().unwrap_or_default();
            return Err(Failed::invalid(format!("{service} is not in the region “{wanted}”; set `region` to one of: {}", list(&regions))));
        };
        let url = Url::parse(&chosen.url).ok().filter(|u| u.has_host() && matches!(u.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| Failed::invalid(format!("the catalogue gives no usable address for {service}; tell the cloud's operators")))?;
        if config.auth_url.scheme() == "https" && url.scheme() == "http" && config.interface == Interface::Public {
            return Err(Failed::invalid(format!(
                "the catalogue leads to {service} without encryption ({url}), and the token is not sent that way; tell the cloud's operators, or use another `interface`"
            )));
        }
        versioned(url, service)
    }
}

/// Whether a segment of a path is a version, such as `v3` or `v2.1`.
fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()) && v.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

/// Some catalogues leave the version out. A version that is not the wanted one has no remedy here.
fn versioned(mut url: Url, service: Service) -> Result<Url, Failed> {
    let segments: Vec<String> = url.path_segments().into_iter().flatten().filter(|s| !s.is_empty()).map(str::to_owned).collect();
    let wanted = service.version();
    match segments.iter().find(|s| is_version(s)) {
        Some(found) if found == wanted => {}
        Some(found) => {
            let text = format!("the catalogue leads to {service} {found}, and Holdfast needs {wanted}; let the cloud's operators add it to the catalogue");
            return Err(Failed::invalid(text));
        }
        None => {
            let path = segments.iter().map(String::as_str).chain([wanted]).collect::<Vec<_>>().join("/");
            url.set_path(&path);
            return Ok(url);
        }
    }
    url.set_path(&segments.join("/"));
    Ok(url)
}

/// The address of the document about versions: the path up to the version.
pub(super) fn version_document(mut url: Url) -> Url {
    let segments: Vec<String> = url.path_segments().into_iter().flatten().map(str::to_owned).collect();
    let upto = segments.iter().position(|s| is_version(s)).map_or(segments.len(), |i| i + 1);
    url.set_path(&format!("{}/", segments[..upto].join("/")));
    url
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn catalog(text: &str) -> Catalog {
        Catalog(serde_json::from_str(text).unwrap())
    }

    fn config(options: &[(&str, &str)]) -> CloudConfig {
        let mut plain: BTreeMap<String, String> = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        plain.insert("application_credential_id".into(), "a".into());
        CloudConfig::of("openstack+https://k.example.org/v3", &plain).unwrap()
    }

    const TWO: &str = r#"[{"type": "compute", "name": "nova", "endpoints": [
        {"interface": "public", "region": "North", "region_id": "North", "url": "https://north.example.org/v2.1", "id": "1"},
        {"interface": "public", "region": "South", "url": "https://south.example.org/compute", "id": "2"},
        {"interface": "internal", "region": "South", "url": "http://south.internal:8774/v2.1/", "id": "3"}]},
      {"type": "block-storage", "endpoints": [{"interface": "public", "region": "North", "url": "https://north.example.org/volume/v3/c12a"}]},
      {"type": "image", "endpoints": [{"interface": "public", "region": "North", "url": "https://north.example.org/image"}]},
      {"type": "network", "endpoints": [{"interface": "public", "region": "North", "url": "http://north.example.org:9696/"}]}]"#;

    #[test]
    fn a_service_is_found_by_type_interface_and_region() {
        let catalog = catalog(TWO);
        let north = config(&[("region", "North")]);
        for (service, want) in [
            (Service::Compute, "https://north.example.org/v2.1"),
            (Service::Volume, "https://north.example.org/volume/v3/c12a"),
            (Service::Image, "https://north.example.org/image/v2"),
        ] {
            assert_eq!(catalog.address(service, &north).unwrap().as_str(), want);
        }
        let south = config(&[("region", "South")]);
        assert_eq!(catalog.address(Service::Compute, &south).unwrap().as_str(), "https://south.example.org/compute/v2.1");
        let inside = config(&[("region", "South"), ("interface", "internal")]);
        assert_eq!(catalog.address(Service::Compute, &inside).unwrap().as_str(), "http://south.internal:8774/v2.1");
    }

    #[test]
    fn what_the_catalogue_lacks_is_said() {
        let catalog = catalog(TWO);
        for (service, options, says) in [
            (Service::Compute, &[][..], "set `region` to one of: North, South"),
            (Service::Compute, &[("region", "East")], "not in the region “East”; set `region` to one of: North, South"),
            (Service::Compute, &[("interface", "admin")], "no admin address"),
            (Service::Identity, &[], "not in the cloud's catalogue"),
            (Service::Network, &[("region", "North")], "without encryption"),
        ] {
            let failed = catalog.address(service, &config(options)).unwrap_err();
            assert!(failed.message.contains(says), "{}", failed.message);
        }
        let old = self::catalog(r#"[{"type": "volumev3", "endpoints": [{"interface": "public", "url": "https://x.example.org/v2/c12a"}]}]"#);
        assert!(old.address(Service::Volume, &config(&[])).unwrap_err().message.contains("Cinder v2, and Holdfast needs v3"));
    }

    #[test]
    fn the_document_about_versions_stands_at_the_version() {
        for (url, want) in [
            ("https://x.example.org/v3/c12a", "https://x.example.org/v3/"),
            ("https://x.example.org/volume/v3/c12a", "https://x.example.org/volume/v3/"),
            ("https://x.example.org:8774/v2.1", "https://x.example.org:8774/v2.1/"),
        ] {
            assert_eq!(version_document(Url::parse(url).unwrap()).as_str(), want);
        }
    }
}

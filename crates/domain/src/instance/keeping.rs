//! What a repository keeps: files in restic's format, or native snapshots in a cloud.
//!
//! Lives here: telling them apart by the location. May not: what each of them can do; that is asked of `ops`.

use serde::{Deserialize, Serialize};

/// What stands before the address of Keystone in a location.
const SCHEME: &str = "openstack+";
/// Before the path of a `clouds.yaml`, which says the rest.
const IN_A_FILE: &str = "openstack+file:///";

/// What the place keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeping {
    /// Packs in restic's format.
    Files,
    /// Native snapshots that never leave their cloud.
    Cloud,
}

impl Keeping {
    /// By the location: `openstack+https://keystone.example.org:5000/v3` is a cloud, and so is
    /// `openstack+file:///etc/openstack/clouds.yaml#NAME`, a cloud of a file of OpenStack's own tools.
    pub fn of(location: &str) -> Self {
        if Self::auth_url(location).is_some() || location.starts_with(IN_A_FILE) { Self::Cloud } else { Self::Files }
    }

    /// The address of Keystone in a cloud's location.
    pub fn auth_url(location: &str) -> Option<&str> {
        location.strip_prefix(SCHEME).filter(|url| url.starts_with("https://") || url.starts_with("http://"))
    }

    pub const fn is_cloud(self) -> bool {
        matches!(self, Self::Cloud)
    }
}

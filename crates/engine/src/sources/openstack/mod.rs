//! OpenStack: the instances of one project and their native snapshots.
//!
//! Lives here: the client for Keystone, Nova, Glance, Cinder and Neutron, as far as snapshots need it; one file a service.
//! May not: runs, the database, what is kept, waiting for an end.
//! Invariant: unlike the rest of the engine this is asynchronous, since it waits and reads little; the bytes of images,
//! which are many, are handed over in bounded pieces. Every call has a time
//! limit, is told to the witness, and fails with one sentence that names service, call, status and remedy. No secret or
//! token is in an error, a path or `Debug`.

mod access;
mod auth;
mod catalog;
mod cinder;
mod config;
mod credential;
mod facts;
mod glance;
mod microversion;
mod networks;
mod neutron;
mod nova;
mod refusal;
mod servers;
mod session;
mod transfer;
mod transport;
mod volumes;

#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod transport_tests;

use std::{fmt, sync::Arc};

use self::{catalog::Service, session::Session};
pub use self::{
    cinder::VolumeSnap,
    config::{Auth, CloudConfig, Interface, Named, User},
    glance::{Image, MappedSnapshot},
    microversion::Version,
    nova::ServerState,
    servers::{NewDisk, NewServer},
    transfer::{Digested, Digests, ImageStream, NewImage},
    transport::{Call, Limits, Witness},
    volumes::{Content, NewVolume, Volume},
};
use crate::{Result, job::Secret};

/// One project of one cloud, with a token.
#[derive(Clone)]
pub struct Cloud(Arc<Session>);

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("auth_url", &self.0.config().auth_url.as_str()).field("project", &self.project_id()).finish_non_exhaustive()
    }
}

impl Cloud {
    /// Authenticates and agrees with Nova on a version.
    pub async fn connect(config: &CloudConfig, secret: &Secret, limits: Limits, witness: Option<Witness>) -> Result<Self> {
        Ok(Self(Arc::new(Session::connect(config, secret, limits, witness).await?)))
    }

    pub fn project_id(&self) -> &str {
        self.0.project_id()
    }

    pub fn project_name(&self) -> &str {
        self.0.project_name()
    }

    /// The version that is spoken with Nova.
    pub async fn nova_version(&self) -> Result<Version> {
        Ok(self.0.version(Service::Compute).await?)
    }

    /// The version that is spoken with Cinder.
    pub async fn cinder_version(&self) -> Result<Version> {
        Ok(self.0.version(Service::Volume).await?)
    }
}

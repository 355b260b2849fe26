//! `holdfast serve`: the dashboard.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf};

use ipnet::IpNet;

use super::{Failed, Result, Shell};
use crate::{
    serve::{ServeError, Settings, serve},
    tls,
    web::{arrival, limits},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Fill an empty installation with an example service
    #[arg(long)]
    example: bool,
    /// A proxy in front ends TLS, though it does not say so: send cookies over TLS only
    #[arg(long)]
    behind_tls: bool,
    /// A proxy that is believed when it says who asks and how, as an address or a network; may be repeated
    /// [default: HOLDFAST_TRUSTED_PROXIES]
    #[arg(long = "trusted-proxy", value_name = "CIDR", value_parser = arrival::network)]
    trusted_proxies: Vec<IpNet>,
    /// Speak TLS with this certificate, a PEM file with those that vouch for it
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Tries to sign in that one address may make in a minute
    #[arg(long, value_name = "N", default_value_t = limits::RATE)]
    sign_in_rate: NonZeroU32,
    /// Runs at a time; 0 leaves them to `holdfast worker` on PostgreSQL
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=256))]
    max_parallel: u16,
    /// Commands and databases that restore tests may call, a YAML file [default: HOLDFAST_TEST_TOOLS]
    #[arg(long, value_name = "FILE")]
    test_tools: Option<PathBuf>,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    if args.max_parallel == 0 && !store::db::names_postgres(&shell.database) {
        return Err(Failed::usage(
            "--max-parallel 0 leaves the runs to workers, which need PostgreSQL; with SQLite the server carries them out itself, so give 1 or more",
        ));
    }
    let trusted = shell.surroundings.trusted_proxies(args.trusted_proxies).map_err(Failed::usage)?;
    let tools = shell.surroundings.test_tools(args.test_tools).map_err(Failed::usage)?;
    let settings = Settings {
        data: shell.data.clone(),
        database: shell.database.clone(),
        listen: args.listen,
        example: args.example,
        behind_tls: args.behind_tls,
        trusted,
        tls: args.tls_cert.zip(args.tls_key).map(|(cert, key)| tls::Files { cert, key }),
        sign_in_rate: args.sign_in_rate,
        max_parallel: usize::from(args.max_parallel),
        env: shell.surroundings.env.clone(),
        tools,
    };
    let out = shell.out;
    serve(settings, move |address, link| {
        out.line(&format!("Holdfast listens on {address}"));
        if let Some(link) = link {
            out.line(&format!("Sign in once, within 10 minutes: {link}"));
        }
    })
    .await
    .map_err(|e| match e {
        ServeError::Listen(..) | ServeError::Tls(_) => Failed::usage(e.to_string()),
        ServeError::Database(e) => e.into(),
        ServeError::Ops(e) => e.into(),
        ServeError::Io(e) => Failed::new(e.to_string()),
    })?;
    Ok(0)
}

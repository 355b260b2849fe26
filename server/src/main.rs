//! The `holdfast` binary.

mod api;
mod cli;
mod config;
mod example;
mod health;
mod metrics;
mod oidc;
mod serve;
mod state;
mod tls;
mod web;
mod work;

/// Pages and trees are many small pieces of memory; the system's allocator takes twice the time for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}

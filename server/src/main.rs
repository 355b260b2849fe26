//! The `holdfast` binary.

mod api;
mod cli;
mod config;
mod example;
mod health;
mod metrics;
mod serve;
mod state;
mod web;
mod work;

fn main() -> std::process::ExitCode {
    cli::main()
}

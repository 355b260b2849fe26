//! The `holdfast` binary.

mod api;
mod cli;
mod config;
mod example;
mod serve;
mod state;
mod web;

fn main() -> std::process::ExitCode {
    cli::main()
}

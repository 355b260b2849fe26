//! The `holdfast` binary.

mod example;
mod serve;
mod state;
mod web;

#[tokio::main]
async fn main() {
    let data = std::path::PathBuf::from("data");
    std::fs::create_dir_all(&data).expect("data");
    let database = format!("sqlite://{}", data.join("holdfast.db").display());
    let settings = serve::Settings { data, database, listen: ([127, 0, 0, 1], 3000).into(), example: false, secure_cookies: false };
    let done = serve::serve(settings, |address, link| tracing::info!(%address, ?link, "ready")).await;
    if let Err(e) = done {
        eprintln!("{e}");
    }
}

//! Makes the folder of the site, so that the server compiles before `scripts/build-site` has run once.

fn main() {
    let site = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/site");
    std::fs::create_dir_all(&site).expect("target/site can be made");
    println!("cargo:rerun-if-changed={}", site.display());
    println!("cargo:rerun-if-changed=../migrations");
}

//! The surroundings of the process: environment, data folder, database.
//!
//! Lives here: the one place that reads the environment, and what follows from it and from the command line.
//! May not: the configuration of services (that is `ops::config`).

use std::{
    io::IsTerminal as _,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use ipnet::IpNet;
use ops::{
    config::{Mistake, Tools},
    secrets::Environment,
};

/// The variable with the proxies that are believed, between commas.
const TRUSTED_PROXIES: &str = "HOLDFAST_TRUSTED_PROXIES";

/// The environment as it was when the process began. Variables that are not UTF-8 are left out.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// All variables: secrets may be referred to by name.
    pub env: Environment,
    /// Whether colours may be used on standard output and standard error.
    pub colour: (bool, bool),
    /// Whether somebody watches standard error.
    pub watched: bool,
}

impl Surroundings {
    pub fn read() -> Self {
        let env: std::collections::BTreeMap<_, _> = std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?))).collect();
        let plain = env.get("NO_COLOR").is_some_and(|v| !v.is_empty()) || env.get("TERM").is_some_and(|t| t == "dumb");
        let watched = std::io::stderr().is_terminal();
        Self { colour: (!plain && std::io::stdout().is_terminal(), !plain && watched), watched, env: Arc::new(env) }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// What is logged: `RUST_LOG`, such as `info` or `runner=debug`, or what the command wants.
    pub fn log_filter(&self, default: &str) -> String {
        self.get("RUST_LOG").unwrap_or(default).to_owned()
    }

    /// Logs as JSON lines where `HOLDFAST_LOG_FORMAT` is `json`.
    pub fn log_json(&self) -> bool {
        self.get("HOLDFAST_LOG_FORMAT") == Some("json")
    }

    /// The proxies that are believed: as given, or `HOLDFAST_TRUSTED_PROXIES`, or none.
    ///
    /// # Errors
    /// A sentence that names the variable and the remedy.
    pub fn trusted_proxies(&self, given: Vec<IpNet>) -> Result<Vec<IpNet>, String> {
        if !given.is_empty() {
            return Ok(given);
        }
        let texts = self.get(TRUSTED_PROXIES).unwrap_or_default().split(',').map(str::trim).filter(|t| !t.is_empty());
        texts.map(crate::web::arrival::network).collect::<Result<_, _>>().map_err(|e| format!("{TRUSTED_PROXIES}: {e}"))
    }

    /// What restore tests may call: of the file as given, or `HOLDFAST_TEST_TOOLS`, or nothing.
    ///
    /// # Errors
    /// Every mistake of the file with its place and its remedy.
    pub fn test_tools(&self, given: Option<PathBuf>) -> Result<Arc<Tools>, String> {
        let Some(path) = given.or_else(|| self.get("HOLDFAST_TEST_TOOLS").map(PathBuf::from)) else { return Ok(Arc::default()) };
        let text = std::fs::read_to_string(&path).map_err(|e| {
            format!("the file of --test-tools {} cannot be read ({}); make it readable for Holdfast, or leave it out", path.display(), e.kind())
        })?;
        let said = |mistakes: Vec<Mistake>| mistakes.iter().map(|m| format!("{}:{m}", path.display())).collect::<Vec<_>>().join("\n");
        Tools::read(&text).map(Arc::new).map_err(said)
    }

    /// The database: as given, or `HOLDFAST_DATABASE_URL`, or `holdfast.db` in the data folder.
    pub fn database(&self, given: Option<String>, data: &Path) -> String {
        given.or_else(|| self.get("HOLDFAST_DATABASE_URL").map(str::to_owned)).unwrap_or_else(|| format!("sqlite://{}", data.join("holdfast.db").display()))
    }
}

/// Makes the data folder if it is missing, for its owner alone, and gives its absolute path.
///
/// # Errors
/// A sentence that names the folder and the remedy.
pub fn data_folder(path: &Path) -> Result<PathBuf, String> {
    let refused = |e: std::io::Error| format!("the data folder {} cannot be made or opened ({}); choose another with --data", path.display(), e.kind());
    let mut maker = std::fs::DirBuilder::new();
    maker.recursive(true).mode(0o700).create(path).map_err(refused)?;
    let absolute = path.canonicalize().map_err(refused)?;
    if absolute.to_str().is_none() {
        return Err(format!("the data folder {} has a name that is not UTF-8; choose another with --data", path.display()));
    }
    Ok(absolute)
}

//! `holdfast schema`: the JSON Schema of the configuration, for editors.

use super::{Failed, Out, Result};

pub fn run(out: Out) -> Result<u8> {
    let text = serde_json::to_string_pretty(&ops::config::schema()).map_err(|e| Failed::new(e.to_string()))?;
    out.line(&text);
    Ok(0)
}

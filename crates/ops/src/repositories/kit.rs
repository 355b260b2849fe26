//! The recovery kit: how to get the data of a repository back with stock restic alone (R14).
//!
//! Lives here: what it says, as values and as a text to print. May not: any secret; it says where each is kept.
//! Invariant: the commands work as they stand once the secrets are at hand; a test runs them.

use std::fmt::Write as _;

use domain::units::Timestamp;
use engine::repository::{storage::Location, tend::KeyRecord};
use jiff::tz::TimeZone;
use store::repositories::{self, KeptRow, RepositoryRow, SecretRef, UseRow};

use super::{Need, Registry, require_files};
use crate::{
    Ctx, Result,
    permission::{Action, require},
};

/// Items read at a time.
const PAGE: i64 = 1_000;
/// The most items that a kit names.
const MOST_ITEMS: usize = 200_000;
/// The version of restic that reads what Holdfast writes.
const RESTIC: &str = "0.14";

/// A variable that restic needs, and where its value is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is no secret: here it is.
    Value(String),
    /// The secret is the first line of this file.
    File(String),
    /// The secret is kept elsewhere, as the words say.
    Kept(String),
}

/// How to get the data back with restic alone.
#[derive(Clone, Debug)]
pub struct Kit {
    pub name: String,
    pub made_at: Timestamp,
    /// As restic writes it.
    pub repository: String,
    /// The repository's own id.
    pub id: Option<String>,
    /// Variables of the environment, the repository and its password first.
    pub variables: Vec<(&'static str, Place)>,
    /// `None` where the repository could not be read when the kit was made.
    pub keys: Option<Vec<KeyRecord>>,
    pub uses: Vec<UseRow>,
    /// The newest snapshot of each item, by service, source and name.
    pub items: Vec<KeptRow>,
    /// Whether there are more items than are named.
    pub is_cut: bool,
}

/// The recovery kit of a repository, with at most `most` items.
pub async fn kit(ctx: &Ctx, registry: &Registry, name: &str, most: usize) -> Result<Kit> {
    require(ctx, Action::Read)?;
    let row = super::row(ctx, name).await?;
    require_files(&row, Need::Kit)?;
    let most = most.min(MOST_ITEMS);
    let inside = registry.inspect(&row).await.ok();
    let mut read = ctx.db.read().await?;
    let uses = repositories::uses(read.tx(), row.id(), super::MOST_USES).await?;
    let mut items: Vec<KeptRow> = Vec::new();
    loop {
        let after = items.last().map(|i| i.item_id).unwrap_or_default();
        let page = repositories::kept(read.tx(), row.id(), after, PAGE).await?;
        let is_last = (page.len() as i64) < PAGE;
        items.extend(page);
        if is_last || items.len() > most {
            break;
        }
    }
    let is_cut = items.len() > most;
    items.truncate(most);
    items.sort_by(|a, b| (&a.service_title, &a.source_name, &a.item_name).cmp(&(&b.service_title, &b.source_name, &b.item_name)));
    let id = inside.as_ref().map(|i| i.id.clone()).or_else(|| row.restic_id.clone());
    Ok(Kit {
        name: row.name.clone(),
        made_at: ctx.now(),
        repository: location(&row),
        id,
        variables: variables(&row),
        keys: inside.map(|i| i.keys),
        uses,
        items,
        is_cut,
    })
}

/// The location as restic writes it.
fn location(row: &RepositoryRow) -> String {
    match Location::parse(&row.location) {
        Ok(Location::Folder(path)) => path.display().to_string(),
        Ok(Location::S3 { bucket, prefix }) => {
            let plain = &row.options.plain;
            let region = plain.get("region").map_or("us-east-1", String::as_str);
            let endpoint = plain.get("endpoint").map_or_else(|| format!("https://s3.{region}.amazonaws.com"), |e| e.trim_end_matches('/').to_owned());
            let place = if prefix.is_empty() { bucket } else { format!("{bucket}/{prefix}") };
            format!("s3:{endpoint}/{place}")
        }
        _ => row.location.clone(),
    }
}

fn variables(row: &RepositoryRow) -> Vec<(&'static str, Place)> {
    let mut all = vec![("RESTIC_REPOSITORY", Place::Value(location(row)))];
    // Not RESTIC_PASSWORD_FILE: restic takes all of a file, Holdfast its first line.
    all.push(("RESTIC_PASSWORD", kept(&row.password.0)));
    if matches!(Location::parse(&row.location), Ok(Location::S3 { .. })) {
        for (option, variable) in
            [("access_key_id", "AWS_ACCESS_KEY_ID"), ("secret_access_key", "AWS_SECRET_ACCESS_KEY"), ("session_token", "AWS_SESSION_TOKEN")]
        {
            match (row.options.plain.get(option), row.options.secret.get(option)) {
                (Some(value), _) => all.push((variable, Place::Value(value.clone()))),
                (None, Some(secret)) => all.push((variable, kept(secret))),
                (None, None) => {}
            }
        }
        if let Some(region) = row.options.plain.get("region") {
            all.push(("AWS_DEFAULT_REGION", Place::Value(region.clone())));
        }
    }
    all
}

fn kept(secret: &SecretRef) -> Place {
    match secret {
        SecretRef::File(path) => Place::File(path.clone()),
        SecretRef::Env(name) => Place::Kept(format!("in the variable {name} of the environment in which Holdfast is started")),
        SecretRef::Sealed(_) => {
            Place::Kept("sealed in Holdfast's database; only Holdfast with its file server.key opens it, so keep a copy elsewhere".to_owned())
        }
    }
}

impl Place {
    /// Where the value is, in words; the value itself where it is no secret.
    pub fn words(&self) -> String {
        match self {
            Self::Value(value) => value.clone(),
            Self::File(path) => format!("the first line of the file {path}"),
            Self::Kept(words) => words.clone(),
        }
    }
}

impl Kit {
    /// The lines that tell a shell where the repository is.
    pub fn exports(&self) -> Vec<String> {
        let line = |(name, place): &(&'static str, Place)| match place {
            Place::Value(value) => format!("export {name}={}", quoted(value)),
            Place::File(path) => format!("export {name}=\"$(head -n 1 {})\"", quoted(path)),
            Place::Kept(words) => format!("read -rs {name} && export {name}   # {words}"),
        };
        self.variables.iter().map(line).collect()
    }

    /// The commands that bring data back, with what each does.
    pub fn commands(&self) -> Vec<(&'static str, String)> {
        let one = self.items.first().map_or("SNAPSHOT", |i| i.restic_id.get(..8).unwrap_or(&i.restic_id));
        vec![
            ("List all snapshots", "restic snapshots --compact".to_owned()),
            ("See whether all of it is whole", "restic check --read-data".to_owned()),
            ("Bring one item back, by the id in the list below", format!("restic restore {one} --target ./restored")),
            ("Look at its files without bringing them back", format!("restic ls {one}")),
        ]
    }

    /// All of it as a text to print or to keep beside the password.
    pub fn text(&self, zone: &TimeZone) -> String {
        let at = |t: Timestamp| jiff::Timestamp::from_microsecond(t.0).unwrap_or_default().to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string();
        let mut out = String::new();
        // Writing into a string cannot fail.
        let mut line = |text: &str| {
            let _ = writeln!(out, "{text}");
        };
        line(&format!("RECOVERY KIT OF THE REPOSITORY {}", self.name));
        line(&format!("Made by Holdfast, {}", at(self.made_at)));
        line("");
        line("The data can be brought back without Holdfast, with restic alone");
        line(&format!("(https://restic.net, version {RESTIC} or later). This kit holds no password."));
        line("");
        line("1. WHERE IT IS");
        line(&format!("   Repository  {}", self.repository));
        if let Some(id) = &self.id {
            line(&format!("   Its id      {id}"));
        }
        line("");
        line("2. WHAT OPENS IT");
        for (name, place) in self.variables.iter().filter(|(_, p)| !matches!(p, Place::Value(_))) {
            line(&format!("   {name}"));
            line(&format!("      {}", place.words()));
        }
        line("   Also kept at (fill in by hand): ______________________________________");
        line("");
        match &self.keys {
            Some(keys) => {
                line("   Keys of the repository; the password opens the one with a star:");
                for k in keys {
                    let who = [k.user.as_str(), k.host.as_str()].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join("@");
                    let when = k.created_at.map(|t| format!(", {}", at(t))).unwrap_or_default();
                    line(&format!("   {} {}  {who}{when}", if k.own { "*" } else { " " }, k.id));
                }
            }
            None => line("   Its keys could not be read when this kit was made."),
        }
        line("");
        line("3. COMMANDS");
        for export in self.exports() {
            line(&format!("   {export}"));
        }
        for (what, command) in self.commands() {
            line("");
            line(&format!("   # {what}"));
            line(&format!("   {command}"));
        }
        line("");
        line("4. WHAT IS IN IT");
        for u in &self.uses {
            line(&format!("   {}, {}", u.service_title, u.source_name));
        }
        line("");
        line("   Newest snapshot of each item:");
        for i in &self.items {
            let id = i.restic_id.get(..8).unwrap_or(&i.restic_id);
            line(&format!("   {id}  {}  {}: {}", at(Timestamp(i.taken_at)), i.service_title, i.item_name));
        }
        if self.is_cut {
            line("   … and more; restic snapshots lists them all");
        }
        out
    }
}

/// A word for a POSIX shell.
fn quoted(text: &str) -> String {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-:@%+=,".contains(&b)) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell() {
        assert_eq!(quoted("/srv/backup/main"), "/srv/backup/main");
        assert_eq!(quoted("/srv/it's here"), r"'/srv/it'\''s here'");
        assert_eq!(quoted(""), "''");
    }
}

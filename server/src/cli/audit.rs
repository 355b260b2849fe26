//! `holdfast audit …`: proving the audit trail, and taking it away (R52).

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use ops::audit::{self, Broken, EventRow};
use serde_json::json;
use store::audit::Walk;

use super::{Failed, Result, Shell};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Walk the whole chain; exit code 1 where an event was changed, removed or cut off
    Verify {
        /// An export in JSON lines instead of the database: it needs no installation
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print all events, the oldest first, one JSON object a line
    Export {
        /// A table for a spreadsheet instead
        #[arg(long)]
        csv: bool,
    },
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    match args.what {
        What::Verify { file: Some(file), json } => {
            let found = proven(&file)?;
            Ok(tell(shell, found, json))
        }
        What::Verify { file: None, json } => {
            let ctx = shell.open().await?;
            let found = audit::verify(&ctx).await?;
            ctx.db.close().await;
            Ok(tell(shell, found, json))
        }
        What::Export { csv } => {
            let ctx = shell.open().await?;
            let mut export = audit::export(&ctx, if csv { "csv" } else { "json" }).await?;
            if csv {
                shell.out.line(audit::CSV_HEAD);
            }
            while let Some(rows) = export.next().await? {
                for row in &rows {
                    shell.out.line(&if csv { audit::csv_line(row) } else { audit::json_line(row)? });
                }
            }
            ctx.db.close().await;
            Ok(0)
        }
    }
}

fn tell(shell: &Shell, found: std::result::Result<i64, Broken>, json: bool) -> u8 {
    let (intact, events, broken) = match found {
        Ok(events) => (true, events, None),
        Err(b) => (false, b.seq - 1, Some(b.to_string())),
    };
    if json {
        shell.out.json(&json!({ "intact": intact, "events": events, "broken": broken }));
    } else if let Some(what) = broken {
        shell.out.line(&format!("The audit chain is broken: {what}; {events} before it are intact."));
    } else {
        shell.out.line(&format!("The audit chain is intact: {events} events."));
    }
    u8::from(!intact)
}

/// Walks an export. What was cut off at its end cannot be known from it alone.
fn proven(path: &Path) -> Result<std::result::Result<i64, Broken>> {
    let unreadable = |e: std::io::Error| Failed::usage(format!("{}: cannot be read ({})", path.display(), e.kind()));
    let mut walk = Walk::default();
    for (n, line) in BufReader::new(File::open(path).map_err(unreadable)?).lines().enumerate() {
        let line = line.map_err(unreadable)?;
        let row: EventRow = serde_json::from_str(&line)
            .map_err(|e| Failed::usage(format!("{}:{}: is no audit event ({e}); give a file that `holdfast audit export` wrote", path.display(), n + 1)))?;
        if let Err(broken) = walk.step(&row) {
            return Ok(Err(broken));
        }
    }
    Ok(Ok(walk.end().0))
}

//! Commands that an admin has configured.
//!
//! Lives here: starting one, its limits, what it wrote. May not: which command, what its end means.
//! Invariants: it gets no environment but what it is given, and no input; whatever it has started in its group is gone
//! when the call returns or is dropped.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{io::AsyncReadExt as _, process::Command};

use crate::{EngineError, Result};

/// How long what it wrote is waited for after its end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A command with its surroundings.
#[derive(Clone, Debug)]
pub struct Errand {
    /// An absolute path and its arguments.
    pub argv: Vec<String>,
    pub folder: PathBuf,
    /// All of its environment.
    pub env: Vec<(String, String)>,
    pub limit: Duration,
    /// So many bytes of standard output, and so many of standard error, are kept.
    pub most_output: usize,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Back {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// It was stopped because it took too long.
    pub late: bool,
    /// Standard output, then standard error; each cut where it is longer than what is kept.
    pub output: String,
}

/// Ends a group of processes when it goes out of scope.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0.take() {
            // Where nobody is left there is nothing to end.
            kill_process_group(pid, Signal::KILL).unwrap_or_default();
        }
    }
}

/// Carries a command out and waits for its end. Dropping the call ends the command.
///
/// # Errors
/// Those of the system when it cannot be started.
pub async fn errand(errand: &Errand) -> Result<Back> {
    let program = errand.argv.first().map_or("", String::as_str);
    #[allow(clippy::disallowed_methods, reason = "this is the place where processes start")]
    let mut command = Command::new(program);
    command.args(errand.argv.iter().skip(1)).current_dir(&errand.folder).env_clear().envs(errand.env.iter().map(|(n, v)| (n, v)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).process_group(0);
    let mut process = command.spawn().map_err(|e| EngineError::io("the command", Path::new(program), e))?;
    let group = Group(process.id().and_then(|id| Pid::from_raw(i32::try_from(id).unwrap_or(0))));
    let out = tokio::spawn(kept(process.stdout.take(), errand.most_output));
    let err = tokio::spawn(kept(process.stderr.take(), errand.most_output));
    let ended = tokio::time::timeout(errand.limit, process.wait()).await;
    // The group first: whoever still holds the pipes would keep them open.
    drop(group);
    let (late, status) = match ended {
        Ok(status) => (false, status),
        Err(_) => (true, process.wait().await),
    };
    let status = status.map_err(|e| EngineError::io("the command", Path::new(program), e))?;
    let mut output = String::new();
    for words in [out, err] {
        // Whoever has left the group can still hold a pipe; it is not waited for.
        let text = tokio::time::timeout(LAST_WORDS, words).await.ok().and_then(std::result::Result::ok).unwrap_or_default();
        if !output.is_empty() && !output.ends_with('\n') && !text.is_empty() {
            output.push('\n');
        }
        output.push_str(&text);
    }
    Ok(Back { code: status.code(), signal: status.signal(), late, output })
}

/// Reads to the end and keeps the beginning.
async fn kept(pipe: Option<impl tokio::io::AsyncRead + Unpin>, most: usize) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let (mut bytes, mut buffer, mut more) = (Vec::new(), vec![0; 8_192], false);
    while let Ok(n) = pipe.read(&mut buffer).await {
        if n == 0 {
            break;
        }
        let room = most.saturating_sub(bytes.len());
        more |= n > room;
        bytes.extend_from_slice(&buffer[..n.min(room)]);
    }
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if more {
        text.push_str("\n… more was written and is not kept");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, folder: &Path) -> Errand {
        Errand {
            argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
            folder: folder.to_owned(),
            env: vec![("HOLDFAST_RUN".into(), "r1".into())],
            limit: Duration::from_secs(20),
            most_output: 1_000,
        }
    }

    #[tokio::test]
    async fn a_command_gets_what_it_is_given_and_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let back = errand(&shell("echo \"$HOLDFAST_RUN $HOME $CARGO_PKG_NAME\"; pwd; cat; echo oops >&2; exit 77", folder.path())).await.unwrap();
        let here = folder.path().canonicalize().unwrap();
        assert_eq!((back.code, back.late), (Some(77), false));
        assert_eq!(back.output, format!("r1  \n{}\noops\n", here.display()));
    }

    #[tokio::test]
    async fn what_it_started_is_gone_and_its_words_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("left");
        let script = format!("(sleep 3; echo x > {}) & yes | head -c 5000", left.display());
        let back = errand(&shell(&script, folder.path())).await.unwrap();
        assert!(back.code == Some(0) && back.output.len() < 1_100 && back.output.ends_with("is not kept"), "{back:?}");
        let slow = Errand { limit: Duration::from_millis(300), ..shell("sleep 30 & sleep 30", folder.path()) };
        let back = errand(&slow).await.unwrap();
        assert!(back.late && back.signal == Some(9), "{back:?}");
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(!left.exists(), "it outlived its command");
        assert!(errand(&Errand { argv: vec!["/nowhere/at-all".into()], ..slow }).await.is_err());
    }
}

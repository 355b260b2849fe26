//! Where this process runs: the machine, and inside it the container that it sees.
//!
//! Lives here: names of a machine and of a process that no other machine and no later process has. May not: judging them.
//! A host's name is no machine's: clones and containers share it. The kernel's boot id (random(4)) and the process
//! namespace are this machine's and this container's alone, until it starts again.

use std::fs;

/// This machine's name, as people know it and as it stands in locks.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// `BOOT.NAMESPACE`; empty where the system tells neither.
pub fn id() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").map(|l| l.to_string_lossy().into_owned()).unwrap_or_default();
    let number: String = namespace.chars().filter(char::is_ascii_digit).collect();
    if boot.trim().is_empty() || number.is_empty() { String::new() } else { format!("{}.{number}", boot.trim()) }
}

/// When a live process began, in clock ticks since the machine did (field 22 of `/proc/PID/stat`, proc_pid_stat(5)):
/// it is told apart by this from a later one of the same number. A zombie no longer lives.
pub fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, also spaces and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

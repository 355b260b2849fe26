//! Who holds a lease, as text, and whether that process still exists.
//!
//! Lives here: `host@boot.namespace:pid:start.nonce`. May not: leases themselves.
//! A process is told apart from a later one of the same number by its start time; a machine and a container from
//! another of the same host name as `engine::place` says. After the machine has started again it is another place.

use engine::place::{hostname, id, start_of};

/// This worker, one of perhaps several in this process.
pub fn name() -> String {
    let pid = std::process::id();
    format!("{}:{pid}:{}.{}", place(), start_of(pid).unwrap_or(0), &uuid::Uuid::now_v7().simple().to_string()[20..])
}

/// Whether the owner was a process of this machine that has ended. `false` where that cannot be known.
pub fn is_gone(owner: &str) -> bool {
    let mut parts = owner.rsplitn(3, ':');
    let (Some(nonce), Some(pid), Some(host)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let (Ok(pid), Some(Ok(start))) = (pid.parse::<u32>(), nonce.split('.').next().map(str::parse::<u64>)) else { return false };
    host == place() && start_of(pid) != Some(start)
}

/// The machine, since it started, and inside it the container that this process sees.
pub fn place() -> String {
    format!("{}@{}", hostname(), id())
}

/// The machine of a place, as people know it.
pub fn host(place: &str) -> &str {
    place.split('@').next().unwrap_or(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_others_do_not() {
        let me = name();
        assert!(!is_gone(&me), "{me}");
        assert_ne!(me, name());
        let (rest, nonce) = me.rsplit_once(':').unwrap();
        // The same number, begun at another time: another process.
        assert!(is_gone(&format!("{rest}:1.{}", nonce.split('.').nth(1).unwrap())));
        let host = rest.rsplit_once(':').unwrap().0;
        assert!(is_gone(&format!("{host}:4194305:1.a")));
        // Another machine's processes cannot be seen.
        assert!(!is_gone("elsewhere@1:4194305:1.a"));
        // Nor those of a machine with this one's name: its boot is another.
        let (machine, inside) = host.split_once('@').unwrap();
        assert!(!is_gone(&format!("{machine}@{}.1:4194305:1.a", uuid::Uuid::nil())), "{inside}");
        assert!(!is_gone("nonsense"));
    }
}

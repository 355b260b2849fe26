//! Who the users are, and what their folders are called on the NFS server.
//!
//! JupyterHub names a user's claim `claim-<user>`, with every byte that Kubernetes would refuse as `-xx`
//! (KubeSpawner's safe slugs); the NFS provisioner names the folder `<namespace>-<claim>-<volume>`.

use std::fmt::Write as _;

use super::random::Random;

const NAMESPACE: &str = "hub";
const GIVEN: [&str; 25] = [
    "maria", "lars", "chiara", "tomasz", "aino", "joão", "irina", "pieter", "zoë", "enol", "katarina", "matthew", "sofia", "nikos", "ingrid", "pablo", "anaïs",
    "jan", "olena", "bence", "freya", "luca", "ewa", "denis", "yara",
];
const FAMILY: [&str; 25] = [
    "rossi",
    "svensson",
    "conti",
    "nowak",
    "virtanen",
    "pereira",
    "petrova",
    "devries",
    "muller",
    "fernandez",
    "horvat",
    "viljoen",
    "ricci",
    "papadakis",
    "hansen",
    "garcia",
    "moreau",
    "kowalski",
    "shevchenko",
    "nagy",
    "berg",
    "greco",
    "wojcik",
    "kuznetsov",
    "haddad",
];
const PLACE: [&str; 10] = ["infn.it", "cesnet.cz", "csic.es", "cnrs.fr", "kit.edu", "sztaki.hu", "grnet.gr", "lip.pt", "nikhef.nl", "uio.no"];

/// What the hub calls user number `user`: an address, a person identifier of a federation, or a short name.
pub fn person(user: usize) -> String {
    let (given, family) = (GIVEN[user % GIVEN.len()], FAMILY[(user * 7 + user / GIVEN.len()) % FAMILY.len()]);
    match user % 5 {
        0 | 3 => format!("{given}.{family}@{}", PLACE[(user * 3) % PLACE.len()]),
        1 => format!("{:016x}@egi.eu", Random::new(0x0e61 + user as u64).next()),
        2 => format!("{given}_{family}"),
        _ => format!("{}{family}", given.chars().next().unwrap_or('x').to_ascii_uppercase()),
    }
}

/// The folder of user number `user`.
pub fn folder(user: usize) -> String {
    let mut random = Random::new(0x0070_7663 + user as u64);
    let (a, b) = (random.next(), random.next());
    // A version 4 UUID: four bits say so, two more are the variant.
    let uuid = format!("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xfff, 0x8000 | (b >> 50), b & 0xffff_ffff_ffff);
    format!("{NAMESPACE}-claim-{}-pvc-{uuid}", escape(&person(user)))
}

fn escape(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "-{byte:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_escaped_as_the_hub_does() {
        assert_eq!(escape("maria.rossi@infn.it"), "maria-2erossi-40infn-2eit");
        assert_eq!(escape("MRicci"), "-4d-52icci");
        assert_eq!(escape("zoë"), "zo-c3-ab");
    }

    #[test]
    fn every_user_has_a_folder_of_one_s_own() {
        let people: BTreeSet<_> = (0..super::super::USERS).map(person).collect();
        let folders: BTreeSet<_> = (0..super::super::USERS).map(folder).collect();
        assert_eq!((people.len(), folders.len()), (super::super::USERS, super::super::USERS));
        for name in folders {
            let volume = &name[name.len() - 40..];
            assert!(name.starts_with("hub-claim-") && volume.starts_with("pvc-") && name.len() < 255, "{name}");
            assert_eq!((&volume[18..19], volume.matches('-').count()), ("4", 5), "{volume}");
        }
    }
}

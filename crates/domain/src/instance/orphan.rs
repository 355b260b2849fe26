//! Images and volume snapshots of a project that no record names (R22): which of them belong together, and why they are
//! told of.
//!
//! Lives here: putting pieces together, what is unknown of a snapshot that was made elsewhere. May not: asking the
//! cloud, the records.
//! Invariant: a piece is of exactly one unit.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{AttachedVolume, BootType, Flavour, NativeImage, NativeSnapshot, Server, VolumeSnapshot};
use crate::{run::text_enum, units::Timestamp};

/// What Nova puts before the names of volume snapshots that it makes with an image.
pub const NOVA_PREFIX: &str = "snapshot for ";

text_enum! {
    /// Why something in a cloud is told of.
    OrphanWhy {
        /// A run made it, and there is no record of that run any more.
        RunGone => "run_gone",
        /// A run made it and left it behind.
        Unrecorded => "unrecorded",
        /// Its record says that it is gone.
        RecordGone => "record_gone",
        /// Others of its parts are gone: what is left is no whole copy.
        PartsMissing => "parts_missing",
        /// Its name fits a pattern in use.
        FitsPattern => "fits_pattern",
        /// Somebody else's, as far as anybody can tell. It is not told of, and can be adopted by a pattern that it fits.
        Foreign => "foreign",
    }
}

/// One image or volume snapshot, as the cloud lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    pub id: String,
    pub name: String,
    pub made_at: Timestamp,
    /// The cloud has finished it.
    pub ready: bool,
    /// The run, the instance's id and the unit's name that it is marked with.
    pub run: Option<String>,
    pub server: Option<String>,
    pub unit: Option<String>,
    pub of: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// With the volume snapshots that it names.
    Image {
        image: NativeImage,
        names: Vec<VolumeSnapshot>,
    },
    Volume {
        volume: String,
        size_gb: i64,
    },
}

impl Default for What {
    fn default() -> Self {
        Self::Volume { volume: String::new(), size_gb: 0 }
    }
}

impl Piece {
    /// The run whose it is. What was made from a snapshot inherits its marks, but not its name.
    fn own_run(&self) -> Option<&str> {
        self.run.as_deref().filter(|_| self.unit.as_deref() == Some(&self.name))
    }

    fn volume(&self) -> VolumeSnapshot {
        match &self.of {
            What::Volume { volume, size_gb } => VolumeSnapshot { id: self.id.clone(), volume: volume.clone(), size_gb: *size_gb, ..VolumeSnapshot::default() },
            What::Image { .. } => VolumeSnapshot::default(),
        }
    }
}

/// Pieces that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loose {
    pub name: String,
    pub image: Option<NativeImage>,
    pub volumes: Vec<VolumeSnapshot>,
    pub run: Option<String>,
    /// The instance's id, where it is marked with one.
    pub server: Option<String>,
    pub made_at: Timestamp,
    pub ready: bool,
    /// Parts that are known to have been there.
    pub missing: usize,
    /// Its image names volume snapshots: what it boots from lies in them.
    pub names_volumes: bool,
}

impl Loose {
    fn of_image(piece: &Piece, image: &NativeImage) -> Self {
        Self {
            name: piece.name.clone(),
            image: Some(image.clone()),
            run: piece.own_run().map(str::to_owned),
            server: piece.server.clone(),
            made_at: piece.made_at,
            ready: piece.ready,
            ..Self::default()
        }
    }

    fn take(&mut self, piece: &Piece, volume: VolumeSnapshot) {
        self.ready &= piece.ready;
        self.made_at = self.made_at.min(piece.made_at);
        self.server = self.server.take().or_else(|| piece.server.clone());
        self.volumes.push(volume);
    }
}

/// Puts pieces together: an image with the volume snapshots that it names, what one run has made under one name, and
/// what bears one name by hand.
pub fn gather(pieces: &[Piece]) -> Vec<Loose> {
    let volumes: HashMap<&str, &Piece> = pieces.iter().filter(|p| matches!(p.of, What::Volume { .. })).map(|p| (p.id.as_str(), p)).collect();
    let mut taken: HashSet<&str> = HashSet::new();
    let mut units: Vec<Loose> = Vec::new();
    for piece in pieces {
        let What::Image { image, names } = &piece.of else { continue };
        let mut unit = Loose::of_image(piece, image);
        unit.names_volumes = !names.is_empty();
        for named in names {
            match volumes.get(named.id.as_str()).filter(|v| taken.insert(v.id.as_str())) {
                Some(found) => {
                    let whole = found.volume();
                    unit.take(found, VolumeSnapshot { volume: whole.volume, size_gb: whole.size_gb, ..named.clone() });
                }
                None => unit.missing += 1,
            }
        }
        units.push(unit);
    }
    // What no image names: by its run and name, or by its name alone.
    let mut rest: BTreeMap<(Option<&str>, &str), Vec<&Piece>> = BTreeMap::new();
    for piece in pieces.iter().filter(|p| matches!(p.of, What::Volume { .. }) && !taken.contains(p.id.as_str())) {
        rest.entry((piece.own_run(), piece.name.as_str())).or_default().push(piece);
    }
    for ((run, name), mut group) in rest {
        group.sort_by(|a, b| (a.made_at, &a.id).cmp(&(b.made_at, &b.id)));
        let mut of_image = units.iter_mut().filter(|u| u.image.is_some() && u.run.as_deref() == run && u.name == name && !u.names_volumes);
        // Where two images bear the name, nothing tells whose it is.
        let (first, second) = (of_image.next(), of_image.next());
        if let (Some(unit), None) = (first, second) {
            for piece in group {
                unit.take(piece, piece.volume());
            }
            continue;
        }
        // Nova made these for an image, which is gone.
        let of_nova = name.strip_prefix(NOVA_PREFIX);
        let mut unit = Loose {
            name: of_nova.unwrap_or(name).to_owned(),
            run: run.map(str::to_owned),
            made_at: group[0].made_at,
            ready: true,
            missing: usize::from(of_nova.is_some()),
            ..Loose::default()
        };
        for piece in group {
            unit.take(piece, piece.volume());
        }
        units.push(unit);
    }
    units
}

impl Loose {
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.image.iter().map(|i| i.id.as_str()).chain(self.volumes.iter().map(|v| v.id.as_str()))
    }

    /// As a snapshot of an instance. `known` are the volumes of instances that are listed, by their ids.
    ///
    /// What nobody knows stays empty; see [`unknown`].
    #[must_use]
    pub fn native(mut self, known: &BTreeMap<String, (String, AttachedVolume)>) -> NativeSnapshot {
        for volume in &mut self.volumes {
            if let Some((server, attached)) = known.get(&volume.volume) {
                volume.device = volume.device.take().or_else(|| attached.device.clone());
                volume.root |= attached.root;
                self.server.get_or_insert_with(|| server.clone());
            }
        }
        let none_known = !self.volumes.iter().any(|v| known.contains_key(&v.volume));
        // Without an image it boots from one of them; the oldest is the likeliest.
        if self.image.is_none()
            && none_known
            && !self.volumes.iter().any(|v| v.root)
            && let Some(first) = self.volumes.first_mut()
        {
            first.root = true;
        }
        let boot = if self.image.is_none() || self.names_volumes { BootType::Volume } else { BootType::Image };
        let server = Server::unknown(self.server.unwrap_or_default(), boot);
        NativeSnapshot { name: self.name, image: self.image, volumes: self.volumes, server }
    }
}

impl Server {
    /// An instance of which nothing but its id and what it boots from is known.
    pub fn unknown(id: String, boot: BootType) -> Self {
        Self {
            id,
            name: String::new(),
            status: String::new(),
            task: None,
            locked: false,
            host_up: None,
            created_at: Timestamp(0),
            boot,
            image: None,
            flavour: Flavour::default(),
            zone: None,
            metadata: BTreeMap::new(),
            networks: Vec::new(),
            security_groups: Vec::new(),
            volumes: Vec::new(),
            key: None,
            fault: None,
        }
    }
}

impl NativeSnapshot {
    /// Whether an instance can boot from it.
    pub fn boots(&self) -> bool {
        match self.server.boot {
            BootType::Image => self.image.is_some(),
            BootType::Volume => self.volumes.iter().any(|v| v.root),
        }
    }
}

/// What is not known of the instance that a snapshot was taken of; a clone has to be told.
pub fn unknown(native: &NativeSnapshot) -> Vec<&'static str> {
    let s = &native.server;
    let all = [
        ("flavour", s.flavour.name.is_empty()),
        ("networks", s.networks.is_empty()),
        ("security groups", s.security_groups.is_empty()),
        ("availability zone", s.zone.is_none()),
        ("key", s.key.is_none()),
    ];
    // Of a listed instance what is empty is so.
    if s.name.is_empty() || s.flavour.name.is_empty() { all.into_iter().filter(|(_, empty)| *empty).map(|(what, _)| what).collect() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, name: &str, names: &[(&str, bool)]) -> Piece {
        let names = names.iter().map(|(id, root)| VolumeSnapshot { id: (*id).into(), root: *root, ..VolumeSnapshot::default() }).collect();
        let image = NativeImage { id: id.into(), size_bytes: 7, min_disk_gb: 1, sha512: None };
        Piece { of: What::Image { image, names }, ..volume(id, name) }
    }

    fn volume(id: &str, name: &str) -> Piece {
        let of = What::Volume { volume: format!("v-{id}"), size_gb: 3 };
        Piece { id: id.into(), name: name.into(), made_at: Timestamp(5), ready: true, of, ..Piece::default() }
    }

    fn marked(piece: Piece, run: &str, unit: &str) -> Piece {
        Piece { run: Some(run.into()), unit: Some(unit.into()), server: Some("s".into()), ..piece }
    }

    fn said(pieces: &[Piece]) -> Vec<String> {
        let mut all: Vec<String> = gather(pieces).iter().map(|u| format!("{}: {} ({})", u.name, u.ids().collect::<Vec<_>>().join("+"), u.missing)).collect();
        all.sort();
        all
    }

    #[test]
    fn what_belongs_together_is_one() {
        for (pieces, want) in [
            (vec![], vec![]),
            // Nova's image of a volume-booted instance, and one whose snapshot somebody has deleted.
            (
                vec![image("i", "db_1", &[("a", true), ("b", false)]), volume("a", "snapshot for db_1"), volume("b", "snapshot for db_1")],
                vec!["db_1: i+a+b (0)"],
            ),
            (vec![image("i", "db_1", &[("a", true), ("b", false)]), volume("a", "snapshot for db_1")], vec!["db_1: i+a (1)"]),
            // The image is gone and has left its snapshots.
            (vec![volume("b", "snapshot for db_1"), volume("a", "snapshot for db_1")], vec!["db_1: a+b (1)"]),
            // By hand under one name; two images of one name take nothing.
            (vec![image("i", "web_1", &[]), volume("a", "web_1"), volume("b", "web_2")], vec!["web_1: i+a (0)", "web_2: b (0)"]),
            (vec![image("i", "x", &[]), image("j", "x", &[]), volume("a", "x")], vec!["x: a (0)", "x: i (0)", "x: j (0)"]),
            // Of two runs under one name.
            (vec![marked(volume("a", "x"), "1", "x"), marked(volume("b", "x"), "2", "x"), volume("c", "x")], vec!["x: a (0)", "x: b (0)", "x: c (0)"]),
        ] {
            assert_eq!(said(&pieces), want, "{pieces:?}");
        }
        // An image of a clone inherits the marks of what the clone was made from.
        let units = gather(&[marked(image("i", "clone_1", &[]), "1", "web_1"), marked(image("j", "web_1", &[]), "1", "web_1")]);
        assert_eq!(units.iter().map(|u| u.run.as_deref()).collect::<Vec<_>>(), [None, Some("1")]);
        let half = gather(&[image("i", "x", &[("a", true)]), Piece { ready: false, ..volume("a", "snapshot for x") }]);
        assert!(!half[0].ready && half[0].names_volumes);
    }

    #[test]
    fn a_snapshot_made_elsewhere_says_what_nobody_knows() {
        let attached = AttachedVolume { root: true, device: Some("/dev/vda".into()), ..AttachedVolume::default() };
        let known: BTreeMap<String, (String, AttachedVolume)> = [("v-b".to_owned(), ("server".to_owned(), attached))].into();
        let both = gather(&[volume("a", "x"), volume("b", "x")]).remove(0);
        let native = both.clone().native(&known);
        assert_eq!((native.server.id.as_str(), native.server.boot, native.unit_id()), ("server", BootType::Volume, "b"));
        assert!(native.boots() && native.volumes[1].device.as_deref() == Some("/dev/vda") && !native.volumes[0].root);
        // Nobody knows the volumes: the oldest counts as the root.
        let native = both.native(&BTreeMap::new());
        assert_eq!((native.unit_id(), unknown(&native)), ("a", vec!["flavour", "networks", "security groups", "availability zone", "key"]));
        // A snapshot of a data volume alone is no instance.
        let data: BTreeMap<String, (String, AttachedVolume)> = [("v-a".to_owned(), ("s".to_owned(), AttachedVolume::default()))].into();
        assert!(!gather(&[volume("a", "x")]).remove(0).native(&data).boots());
        let image = gather(&[image("i", "x", &[])]).remove(0).native(&known);
        assert_eq!((image.server.boot, image.boots(), image.bytes()), (BootType::Image, true, 7));
        let mut listed = image;
        listed.server.name = "web".into();
        listed.server.flavour.name = "m1".into();
        assert!(unknown(&listed).is_empty());
    }
}

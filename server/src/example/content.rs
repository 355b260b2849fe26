//! What stands in a user's folder: notebooks, tables, pictures, course material that many share, and the odd things
//! that real folders hold (symlinks, spaces, umlauts, a name that is not UTF-8, an empty folder, a hard link).
//!
//! Lives here: making bytes and writing them. Invariant: everything follows from the user's number alone.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, lchown, symlink},
    },
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use super::random::Random;

/// A file of known content in every folder: a restore test reads it.
pub const CANARY: &str = ".holdfast-canary";
pub const CANARY_TEXT: &str = "This file must come back exactly as it is. Holdfast checks it in every restore test.\n";

/// Who a notebook server runs as, by convention of the Jupyter images.
const OWNER: (u32, u32) = (1000, 100);
/// 2020-09-01 00:00 UTC, the first day of the term.
const TERM: u64 = 1_598_918_400;
const HALF_YEAR: usize = 180 * 86_400;

const WORDS: [&str; 48] = [
    "spectrum",
    "sample",
    "filter",
    "baseline",
    "residual",
    "detector",
    "station",
    "signal",
    "noise",
    "model",
    "tensor",
    "kernel",
    "grid",
    "mesh",
    "pressure",
    "salinity",
    "temperature",
    "anomaly",
    "gradient",
    "frequency",
    "threshold",
    "calibration",
    "event",
    "vertex",
    "track",
    "cluster",
    "genome",
    "contig",
    "variant",
    "catalogue",
    "magnitude",
    "redshift",
    "orbit",
    "exposure",
    "frame",
    "mask",
    "window",
    "interval",
    "average",
    "median",
    "variance",
    "estimate",
    "forecast",
    "ensemble",
    "member",
    "forcing",
    "boundary",
    "ocean",
];
const LIBRARIES: [&str; 6] = ["numpy as np", "pandas as pd", "matplotlib.pyplot as plt", "xarray as xr", "scipy.signal as sig", "astropy.units as u"];

/// Course material: the same bytes in many folders.
pub struct Shared {
    notebooks: Vec<Vec<u8>>,
    tables: Vec<Vec<u8>>,
    observations: Vec<u8>,
}

pub fn shared() -> Shared {
    let mut random = Random::new(0x000c_0075_e000);
    Shared {
        notebooks: (0..12).map(|_| notebook(&mut random, 30_000, 150_000)).collect(),
        tables: (0..4).map(|_| table(&mut random, 400, 4_000)).collect(),
        observations: parquet(&mut random, 1_500_000),
    }
}

/// Writes the folder of user number `user`.
pub fn write_home(home: &Path, user: usize, shared: &Shared) -> io::Result<()> {
    let mut random = Random::new(0x5eed_0000 + user as u64);
    let mut w = Writer { home, random: Random::new(0x0071_3e00 + user as u64) };
    w.file(CANARY, CANARY_TEXT)?;
    w.file(".bashrc", "export PATH=$HOME/.local/bin:$PATH\nalias ll='ls -l'\n")?;
    w.file(".ipython/profile_default/startup/00-imports.py", "import numpy as np\nimport pandas as pd\n")?;
    w.file(".jupyter/lab/user-settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings", "{\n  \"theme\": \"JupyterLab Dark\"\n}\n")?;

    for (i, bytes) in shared.notebooks.iter().enumerate() {
        if random.chance(70) {
            w.file(&format!("course/lecture-{:02}.ipynb", i + 1), bytes)?;
        }
    }
    for (i, bytes) in shared.tables.iter().enumerate() {
        w.file(&format!("course/data/table-{}.csv", i + 1), bytes)?;
    }
    if random.chance(35) {
        w.file("course/data/observations.parquet", &shared.observations)?;
    }

    for i in 0..random.range(8, 26) {
        let name = format!("work/{}-{i:02}.ipynb", random.pick(&WORDS));
        let bytes = notebook(&mut random, 8_000, 90_000);
        if random.chance(20) {
            w.file(&format!("work/.ipynb_checkpoints/{}-checkpoint.ipynb", &name[5..name.len() - 6]), &bytes)?;
        }
        w.file(&name, bytes)?;
    }
    for i in 0..random.range(2, 7) {
        w.file(&format!("data/{}-{i}.csv", random.pick(&WORDS)), table(&mut random, 60, 2_500))?;
    }
    for i in 0..random.range(1, 4) {
        let size = random.range(6_000, 60_000);
        w.file(&format!("figures/figure {}.png", i + 1), picture(&mut random, size))?;
    }
    w.file("work/fit.py", script(&mut random))?;
    w.mode("work/fit.py", 0o755)?;
    if user % 8 == 3 {
        let size = random.range(4_000_000, 9_000_000);
        w.file("data/simulation.parquet", parquet(&mut random, size))?;
    }
    odd_things(&mut w, user)?;
    w.finish()
}

fn odd_things(w: &mut Writer, user: usize) -> io::Result<()> {
    if user.is_multiple_of(3) {
        symlink("course/data", w.home.join("latest"))?;
    }
    if user.is_multiple_of(4) {
        w.file("work/Übung 3 – Größen.ipynb", notebook(&mut Random::new(user as u64), 4_000, 9_000))?;
    }
    if user.is_multiple_of(5) {
        fs::create_dir_all(w.home.join("scratch/empty"))?;
        w.file("scratch/nothing.txt", "")?;
    }
    if user.is_multiple_of(6) {
        fs::hard_link(w.home.join("work/fit.py"), w.home.join("work/fit-final.py"))?;
    }
    if user.is_multiple_of(11) {
        symlink("../moved-away/results", w.home.join("work/results"))?;
        w.file_at(OsStr::from_bytes(b"work/r\xe9sum\xe9.txt"), b"A name from before UTF-8.\n")?;
    }
    Ok(())
}

struct Writer<'a> {
    home: &'a Path,
    random: Random,
}

impl Writer<'_> {
    fn file(&mut self, path: &str, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.file_at(OsStr::new(path), bytes.as_ref())
    }

    fn file_at(&mut self, path: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let path = self.home.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, bytes)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        let age = self.random.range(0, HALF_YEAR) as u64;
        let nanos = (self.random.next() % 1_000_000_000) as u32;
        fs::File::options().write(true).open(&path)?.set_modified(UNIX_EPOCH + Duration::new(TERM + age, nanos))
    }

    fn mode(&self, path: &str, mode: u32) -> io::Result<()> {
        fs::set_permissions(self.home.join(path), fs::Permissions::from_mode(mode))
    }

    /// Modes, owners and times of the folders, when nothing is written into them any more.
    fn finish(&self) -> io::Result<()> {
        // Only root can give files away; for anybody else they stay one's own.
        let give_away = fs::metadata(self.home)?.uid() == 0;
        settle(self.home, give_away)
    }
}

fn settle(path: &Path, give_away: bool) -> io::Result<()> {
    let meta = path.symlink_metadata()?;
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            settle(&entry?.path(), give_away)?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        fs::File::open(path)?.set_modified(UNIX_EPOCH + Duration::from_secs(TERM + HALF_YEAR as u64))?;
    }
    if give_away {
        lchown(path, Some(OWNER.0), Some(OWNER.1))?;
    }
    Ok(())
}

fn words(random: &mut Random, count: usize) -> String {
    (0..count).map(|_| random.pick(&WORDS)).collect::<Vec<_>>().join(" ")
}

/// A notebook of nbformat 4 between two sizes in bytes; text of code, text of output and pictures as real ones hold them.
fn notebook(random: &mut Random, low: usize, high: usize) -> Vec<u8> {
    let target = random.range(low, high);
    let mut cells: Vec<String> = Vec::new();
    let mut size = 0;
    while size < target {
        let id = format!("{:08x}", random.next() as u32);
        let cell = if random.chance(30) {
            let source = words(random, 24);
            format!("  {{\n   \"cell_type\": \"markdown\",\n   \"id\": \"{id}\",\n   \"metadata\": {{}},\n   \"source\": [\n    \"## {source}\\n\"\n   ]\n  }}")
        } else {
            let (number, source, output) = (cells.len() + 1, code(random), output(random));
            format!(
                "  {{\n   \"cell_type\": \"code\",\n   \"execution_count\": {number},\n   \"id\": \"{id}\",\n   \"metadata\": {{}},\n   \"outputs\": [{output}],\n   \"source\": [\n{source}\n   ]\n  }}"
            )
        };
        size += cell.len();
        cells.push(cell);
    }
    format!(
        "{{\n \"cells\": [\n{}\n ],\n \"metadata\": {{\n  \"kernelspec\": {{\n   \"display_name\": \"Python 3\",\n   \"language\": \"python\",\n   \"name\": \"python3\"\n  }}\n }},\n \"nbformat\": 4,\n \"nbformat_minor\": 5\n}}\n",
        cells.join(",\n")
    )
    .into_bytes()
}

fn code(random: &mut Random) -> String {
    let mut lines = vec![format!("    \"import {}\\n\"", random.pick(&LIBRARIES))];
    for _ in 0..random.range(2, 14) {
        let (left, right, x) = (random.pick(&WORDS), random.pick(&WORDS), random.range(1, 100_000));
        lines.push(format!("    \"{left} = {right}.rolling({}).mean() * {}.{x:05}\\n\"", x % 48 + 1, x % 7));
    }
    lines.join(",\n")
}

fn output(random: &mut Random) -> String {
    match random.range(0, 10) {
        0..2 => {
            let size = random.range(3_000, 24_000);
            let png = base64(&picture(random, size));
            format!(
                "\n    {{\n     \"data\": {{\n      \"image/png\": \"{png}\"\n     }},\n     \"metadata\": {{}},\n     \"output_type\": \"display_data\"\n    }}\n   "
            )
        }
        2..7 => {
            let lines: Vec<_> = (0..random.range(1, 20)).map(|_| format!("      \"{}\\n\"", words(random, 9))).collect();
            format!("\n    {{\n     \"name\": \"stdout\",\n     \"output_type\": \"stream\",\n     \"text\": [\n{}\n     ]\n    }}\n   ", lines.join(",\n"))
        }
        _ => String::new(),
    }
}

fn table(random: &mut Random, low: usize, high: usize) -> Vec<u8> {
    let mut out = String::from("id,time,station,value,quality\n");
    let start = TERM as usize + random.range(0, HALF_YEAR);
    for i in 0..random.range(low, high) {
        let (station, value, quality) = (random.pick(&WORDS), random.range(0, 4_000_000), random.range(0, 4));
        let _ = writeln!(out, "{i},{},{station},{}.{:05},{quality}", start + i * 600, value / 100_000, value % 100_000);
    }
    out.into_bytes()
}

fn script(random: &mut Random) -> String {
    let mut out = String::from("#!/usr/bin/env python3\nimport numpy as np\n\n");
    for _ in 0..random.range(4, 30) {
        let (name, text) = (random.pick(&WORDS), words(random, 6));
        let _ = write!(out, "def {name}_{}(x):\n    \"\"\"{text}\"\"\"\n    return np.median(x)\n\n", random.range(0, 100));
    }
    out
}

/// Begins like a PNG and is as dense as one.
fn picture(random: &mut Random, size: usize) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x02\x80\x00\x00\x01\xe0\x08\x06\x00\x00\x00".to_vec();
    out.extend(random.bytes(size));
    out
}

/// Begins and ends like a Parquet file; its column chunks are dense, its page headers repeat.
fn parquet(random: &mut Random, size: usize) -> Vec<u8> {
    let mut out = b"PAR1".to_vec();
    while out.len() < size {
        out.extend(b"\x15\x04\x15\x80\x80\x04\x15\x80\x80\x04\x4c\x15\x80\x20\x15\x00\x12\x00\x00");
        out.extend(random.bytes(6_000));
        out.extend(std::iter::repeat_n(0_u8, random.range(200, 2_500)));
    }
    out.extend(b"PAR1");
    out
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let n = group.iter().fold(0_u32, |n, b| (n << 8) | u32::from(*b)) << (8 * (3 - group.len()));
        for i in 0..4 {
            let digit = ALPHABET[(n >> (18 - 6 * i)) as usize & 63];
            out.push(if i > group.len() { '=' } else { char::from(digit) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_notebook_is_json_of_the_wanted_size() {
        let bytes = notebook(&mut Random::new(3), 40_000, 50_000);
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["nbformat"], 4);
        assert!(value["cells"].as_array().unwrap().len() > 3);
        assert!((40_000..90_000).contains(&bytes.len()), "{}", bytes.len());
    }
}

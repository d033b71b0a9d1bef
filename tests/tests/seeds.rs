//! Tests that every seed gives a fixture with the properties that the cases rely on.

use std::collections::BTreeSet;
use std::error::Error;

use client_suite::fixture::Variant;

/// The seeds that are tried: 0 to 98, and the largest number.
fn seeds() -> impl Iterator<Item = u64> {
    (0..99).chain([u64::MAX])
}

/// The names that files and directories have without a seed, as the cases write them.
const NAMES: &[&str] = &[
    "empty.txt",
    "one.txt",
    "hello.txt",
    "ten.txt",
    "style.css",
    "utf8.txt",
    "with space.txt",
    "per%cent.txt",
    "plus+plus.txt",
    "sub/index.html",
    "sub/page.html",
    "old.txt",
    "middle.bin",
    "large.bin",
    "out.txt",
    "out-relative.txt",
    "out-dir",
    "out-sibling",
    "inside.txt",
    "inside-dir",
    "pipe",
    "socket",
];

#[test]
fn without_a_seed_nothing_is_replaced() {
    let usual = Variant::new(None);
    for name in NAMES {
        assert_eq!(usual.name(name), *name);
    }
    assert_eq!(usual.content("hello.txt").as_deref(), Some(&b"Hello, file!\n"[..]));
    assert_eq!((usual.middle, usual.large), (102_400, 3_145_735));
    assert_eq!(usual.cut(20, 41), 20);
    assert_eq!(usual.cut(41, 41), 41);
}

#[test]
fn names_differ_and_stay_names_of_their_kind() {
    for seed in seeds() {
        let variant = Variant::new(Some(seed));
        let names: Vec<String> = NAMES.iter().map(|name| variant.name(name)).collect();
        let different: BTreeSet<&String> = names.iter().collect();
        assert_eq!(different.len(), NAMES.len(), "seed {seed}: two files have one name");
        for (usual, name) in NAMES.iter().zip(&names) {
            assert_ne!(*usual, name, "seed {seed}");
            assert!(
                !NAMES.contains(&&**name),
                "seed {seed}: {name} is another file's name"
            );
            let end = |name: &str| name.rsplit_once('.').map(|(_, end)| end.to_owned());
            assert_eq!(end(usual), end(name), "seed {seed}: the type of {name}");
            let signs = |name: &str| name.replace(|c: char| c.is_ascii_lowercase(), "");
            assert_eq!(signs(usual), signs(name), "seed {seed}: {name}");
        }
        // A name that has a meaning for a route or for the system is never replaced.
        for fixed in [
            "/plaintext",
            "/echo",
            "/sleep/10",
            "/bytes/7",
            "/stats",
            "/panic",
            "index.html",
        ] {
            assert_eq!(variant.name(fixed), fixed, "seed {seed}");
        }
        // Each word in a target is replaced, even if percent-encoded characters stand beside it.
        let (sub, page) = (variant.name("sub"), variant.name("page"));
        assert_eq!(variant.name("/sub%2Fpage.html"), format!("/{sub}%2F{page}.html"));
    }
}

#[test]
fn contents_keep_what_the_cases_rely_on() {
    for seed in seeds() {
        let variant = Variant::new(Some(seed));
        let content = |name: &str| variant.content(name).unwrap_or_default();
        assert_eq!(content("plaintext"), b"Hello, World!");
        assert_eq!(content("empty.txt").len(), 0);
        assert_eq!(content("one.txt").len(), 1);
        let ten: BTreeSet<u8> = content("ten.txt").into_iter().collect();
        assert_eq!((ten.len(), content("ten.txt").len()), (10, 10), "seed {seed}");
        let text = String::from_utf8(content("utf8.txt")).expect("UTF-8");
        assert!(text.chars().count() < text.len(), "seed {seed}");
        assert!(content("dot.png").starts_with(b"\x89PNG\r\n\x1a\n"));
        assert_ne!(content("hello.txt"), b"Hello, file!\n", "seed {seed}");
        assert!((102_400..120_000).contains(&variant.middle), "seed {seed}");
        assert!((3_145_735..3_200_000).contains(&variant.large), "seed {seed}");
    }
}

#[test]
fn a_cut_leaves_two_parts() {
    for seed in seeds() {
        let variant = Variant::new(Some(seed));
        let places: BTreeSet<usize> = (2..200)
            .map(|length| {
                let place = variant.cut(1, length);
                assert!((1..length).contains(&place), "seed {seed}: {place} of {length}");
                assert_eq!(place, variant.cut(1, length), "the same cut at each attempt");
                place
            })
            .collect();
        assert!(places.len() > 20, "seed {seed}: the cuts are {places:?}");
        assert_eq!(variant.cut(0, 0), 0);
        assert_eq!(variant.cut(1, 1), 1);
    }
}

#[test]
fn seeds_differ_from_each_other() {
    let all: BTreeSet<(String, Vec<u8>, usize, usize)> = seeds()
        .map(|seed| {
            let variant = Variant::new(Some(seed));
            let content = variant.content("hello.txt").unwrap_or_default();
            (variant.name("hello.txt"), content, variant.middle, variant.cut(0, 5_000))
        })
        .collect();
    assert_eq!(all.len(), 100);
}

#[test]
fn the_files_of_a_seed_are_written_and_no_two_pieces_are_alike()
-> Result<(), Box<dyn Error>> {
    for seed in [1, 2, u64::MAX] {
        let variant = Variant::new(Some(seed));
        let base = tempfile::tempdir()?;
        let root = variant.make(base.path())?;
        for name in NAMES {
            let path = root.join(variant.name(name));
            assert!(path.symlink_metadata().is_ok(), "seed {seed}: {}", path.display());
            assert!(root.join(name).symlink_metadata().is_err(), "seed {seed}: {name}");
        }
        let large = std::fs::read(root.join(variant.name("large.bin")))?;
        assert_eq!(large.len(), variant.large);
        let pieces: BTreeSet<&[u8]> = large.chunks_exact(512).collect();
        assert_eq!(pieces.len(), variant.large / 512, "seed {seed}");
        let middle = std::fs::read(root.join(variant.name("middle.bin")))?;
        assert_eq!(middle, large[..variant.middle]);
    }
    Ok(())
}

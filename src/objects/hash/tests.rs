//! Tests of hashing and verifying files.

use super::*;

const ABC: &[(&str, &str)] = &[
    ("md5", "900150983cd24fb0d6963f7d28e17f72"),
    ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    ("sha224", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
    ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
        "sha384",
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
    ),
    (
        "sha512",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ),
    ("sha3-224", "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"),
    ("sha3-256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
    (
        "sha3-384",
        "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b298d88cea927ac7f539f1edf228376d25",
    ),
    (
        "sha3-512",
        "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
    ),
    ("cid", "bafkreif2pall7dybz7vecqka3zo24irdwabwdi4wc55jznaq75q7eaavvu"),
];

fn object(algorithm: &str, hash: &str) -> ObjectId {
    ObjectId::new(Algorithm::from_name(algorithm).expect(algorithm), hash).expect(hash)
}

fn verify(bytes: &[u8], object: &ObjectId) -> Presence {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("object");
    fs::write(&path, bytes).expect("a file");
    verify_file(&path, object, &CancellationToken::new(), None).expect("a verdict")
}

#[test]
fn every_algorithm_proves_its_test_vector_and_nothing_else() {
    assert_eq!(ABC.len(), Algorithm::all().count());
    for (algorithm, hash) in ABC {
        let object = object(algorithm, hash);
        assert_eq!(verify(b"abc", &object), Presence::Verified { size: 3 }, "{object}");
        for wrong in [&b"abd"[..], b"", b"abc\n"] {
            assert!(matches!(verify(wrong, &object), Presence::Corrupt { .. }), "{object}");
        }
    }
}

#[test]
fn the_empty_file_is_an_object_too() {
    let object = object("md5", "d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(verify(b"", &object), Presence::Verified { size: 0 });
}

#[test]
fn trees_of_blocks_are_proven_in_known_profiles_and_not_claimed_otherwise() {
    let object = object("cid", "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o");
    assert_eq!(verify(b"hello world\n", &object), Presence::Verified { size: 12 });
    assert!(matches!(verify(b"hello world", &object), Presence::Unverifiable { .. }));
    assert!(matches!(verify(b"", &object), Presence::Corrupt { .. }));
}

#[test]
fn what_is_no_file_is_no_object() {
    let directory = tempfile::tempdir().expect("a directory");
    let object = object("sha256", ABC[3].1);
    let cancel = CancellationToken::new();
    let verdict = |path: &Path| verify_file(path, &object, &cancel, None);
    assert_eq!(
        verdict(directory.path()).expect("a verdict"),
        Presence::Corrupt { why: "is a directory".into() }
    );
    assert_eq!(verdict(&directory.path().join("x")).expect_err("absent").kind(), io::ErrorKind::NotFound);
    #[cfg(unix)]
    {
        fs::write(directory.path().join("real"), "abc").expect("a file");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("real", &link).expect("a link");
        assert_eq!(
            verdict(&link).expect("a verdict"),
            Presence::Corrupt { why: "is a symbolic link".into() }
        );
    }
}

#[test]
fn a_cancelled_hash_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("object");
    fs::write(&path, "abc").expect("a file");
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = verify_file(&path, &object("sha256", ABC[3].1), &cancel, None).expect_err("cancelled");
    assert!(Cancelled::is(&error));
}

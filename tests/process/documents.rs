//! The documents name tests that exist.

use std::fs;
use std::path::Path;

use crate::harness::{cases, skip};

cases! {
    every_test_that_is_named_exists,
    every_program_is_the_one_that_is_tested,
}

/// Finds links of the form ``[`name`](../path.rs)``.
fn every_test_that_is_named_exists() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for (document, least) in [("SIGNALS.md", 50), ("TRUST.md", 18)] {
        let Ok(text) = fs::read_to_string(folder.join(document)) else {
            skip("the documents are not here");
        };
        let mut links = 0;
        for link in text.split("[`").skip(1) {
            let Some((name, rest)) = link.split_once("`](../") else {
                continue;
            };
            let (path, _) = rest.split_once(')').unwrap();
            let source = folder.join("..").join(path);
            let source = fs::read_to_string(source).unwrap();
            assert!(source.contains(&format!("fn {name}()")), "{path}: {name}");
            links += 1;
        }
        assert!(links >= least, "{document}: {links}");
    }
}

/// The programs are packages, and their tests run them.
fn every_program_is_the_one_that_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (document, package) in
        [("LOOPS.md", "loops"), ("MIGRATING.md", "migrating")]
    {
        let text = fs::read_to_string(root.join("docs").join(document));
        let folder = root.join("examples").join(package).join("src/bin");
        let (Ok(text), Ok(programs)) = (text, fs::read_dir(folder)) else {
            skip("the documents or the programs are not here");
        };
        let mut found = 0;
        for program in programs {
            let path = program.unwrap().path();
            let source = fs::read_to_string(&path).unwrap();
            let block = format!("\n```rust\n{source}```\n");
            let path = path.display();
            assert!(text.contains(&block), "{document} lacks {path}");
            found += 1;
        }
        // And there are no others.
        assert!(found > 5);
        assert_eq!(text.matches("\n```rust").count(), found);
    }
}

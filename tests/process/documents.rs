//! The documents name tests that exist.

use std::fs;
use std::path::Path;

use crate::harness::{cases, skip};

cases! {
    every_test_that_is_named_exists,
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

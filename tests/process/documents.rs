//! The documents name tests that exist.

use std::fs;
use std::path::Path;

use crate::harness::{cases, skip};

cases! {
    every_test_that_is_named_exists,
    every_paragraph_about_signals_names_a_test,
    every_model_is_one,
    every_file_that_is_linked_exists,
    every_program_is_the_one_that_is_tested,
}

/// The text of a document, which is not in the package.
fn text_of(document: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    fs::read_to_string(folder.join(document))
        .unwrap_or_else(|_| skip("the documents are not here"))
}

/// Finds links of the form ``[`name`](../path.rs)``, and looks for a function that is
/// marked as a test or named in a list of cases.
fn every_test_that_is_named_exists() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for (document, least) in
        [("SIGNALS.md", 50), ("TRUST.md", 18), ("EVIDENCE.md", 130)]
    {
        let text = text_of(document);
        let mut links = 0;
        for link in text.split("[`").skip(1) {
            let Some((name, rest)) = link.split_once("`](../") else {
                continue;
            };
            let (path, _) = rest.split_once(')').unwrap();
            let source = fs::read_to_string(folder.join("..").join(path));
            let source = source.unwrap();
            let function = source.find(&format!("fn {name}()"));
            let function =
                function.unwrap_or_else(|| panic!("{path} has no {name}"));
            let attributes = source[..function].rsplit("\n\n").next().unwrap();
            let is_case = source.split(['{', ',', '\n']).any(|entry| {
                let entry = entry.trim();
                let (entry, _) = entry.split_once(" =>").unwrap_or((entry, ""));
                entry == name
            });
            let is_test = attributes.contains("#[test]") || is_case;
            assert!(is_test, "{path}: {name} is not run");
            links += 1;
        }
        assert!(links >= least, "{document}: {links}");
    }
}

/// What it says of the kernel and of the crate is not to be believed without.
fn every_paragraph_about_signals_names_a_test() {
    let text = text_of("SIGNALS.md");
    let first = text.find("## ").unwrap();
    let mut count = 0;
    let paragraphs =
        text[first..].split("\n\n").flat_map(|it| it.split("\n- "));
    for paragraph in paragraphs.filter(|it| it.contains(' ')) {
        if paragraph.starts_with("## ") {
            continue;
        }
        count += 1;
        assert!(paragraph.contains("`](../tests/"), "{paragraph}");
    }
    assert!(count >= 50, "{count}");
}

/// What the evidence calls a model is one that the model checker runs.
fn every_model_is_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let text = text_of("EVIDENCE.md");
    let mut count = 0;
    for lead in ["model [`", "models [`"] {
        for list in text.split(lead).skip(1) {
            let list = list.split([';', '|']).next().unwrap();
            for link in list.split(", ") {
                let (name, rest) = link.split_once("`](../").unwrap();
                let name = name.trim_start_matches("[`");
                let (path, _) = rest.split_once(')').unwrap();
                let source = fs::read_to_string(folder.join("..").join(path));
                let source = source.unwrap();
                let function = source.find(&format!("fn {name}()")).unwrap();
                let is_model = path.ends_with("/models.rs")
                    || source[..function].contains("cfg(all(test, loom))");
                assert!(is_model, "{path}: {name} is no model");
                count += 1;
            }
        }
    }
    assert!(count >= 20, "{count}");
}

/// Whatever a document links to in this repository.
fn every_file_that_is_linked_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = vec![root.join("README.md"), root.join("SECURITY.md")];
    documents.push(root.join("CONTRIBUTING.md"));
    let Ok(folder) = fs::read_dir(root.join("docs")) else {
        skip("the documents are not here");
    };
    documents.extend(folder.map(|file| file.unwrap().path()));
    if !root.join("fuzz").exists() {
        skip("a package has not all of the files");
    }
    let mut links = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1) {
            let (link, _) = link.split_once(')').unwrap();
            let (path, _) = link.split_once('#').unwrap_or((link, ""));
            if path.is_empty() || path.contains("://") || path.contains(' ') {
                continue;
            }
            let target = document.parent().unwrap().join(path);
            assert!(target.exists(), "{}: {path}", document.display());
            links += 1;
        }
    }
    assert!(links > 300, "{links}");
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

//! Links the C library, which without std nobody does.

fn main() {
    println!("cargo::rustc-link-lib=c");
}

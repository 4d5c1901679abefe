use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::flag;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let is_to_reload = Arc::new(AtomicBool::new(false));
    let is_over = Arc::new(AtomicBool::new(false));
    flag::register(SIGHUP, Arc::clone(&is_to_reload))?;
    flag::register(SIGTERM, Arc::clone(&is_over))?;
    println!("pid {}", std::process::id());
    while !is_over.load(Ordering::Relaxed) {
        if is_to_reload.swap(false, Ordering::Relaxed) {
            println!("reload");
        }
        // Yours: some work that takes a while.
        std::thread::yield_now();
    }
    println!("over");
    Ok(())
}

use std::sync::mpsc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (tell, told) = mpsc::channel();
    ctrlc::set_handler(move || {
        // It fails if nobody waits any more.
        let _sent = tell.send(());
    })?;
    println!("pid {}", std::process::id());
    told.recv()?;
    println!("over");
    Ok(())
}

use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    println!("pid {}", std::process::id());
    loop {
        tokio::select! {
            _ = hangup.recv() => println!("reload"),
            _ = terminate.recv() => break,
        }
    }
    println!("over");
    Ok(())
}

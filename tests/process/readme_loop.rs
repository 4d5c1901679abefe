use io_uring::IoUring;
use signalfd::{Batch, Signal, uring::Source};

const SIGNALS: u64 = 1; // the user_data: any number of yours

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let signals = signalfd::open(Signal::HUP | Signal::TERM)?;
    let mut ring = IoUring::new(8)?;
    let mut source = Source::new(&signals);
    let mut batch = Batch::<16>::new();
    loop {
        // What is there is taken before the loop waits for more.
        for completion in ring.completion() {
            match completion.user_data() {
                SIGNALS => source.complete(completion)?,
                _ => { /* yours */ }
            }
        }
        loop {
            let infos = source.take(&mut batch)?;
            if infos.is_empty() {
                break;
            }
            for info in infos {
                println!("{info}");
                if info.signal() == Signal::TERM {
                    return Ok(());
                }
            }
        }
        if source.needs_arming() {
            if ring.submission().is_full() {
                ring.submit()?;
            }
            source.push(&mut ring.submission(), SIGNALS)?;
        }
        // It does not wait where something has completed meanwhile.
        source.submit_and_wait(&mut ring)?;
    }
}

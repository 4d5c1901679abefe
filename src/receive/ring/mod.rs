//! Rings: the request in one, the memory that it reads into, and a ring of the
//! receiver's own.

mod buffers;
mod inbox;
mod left;
mod own;
mod register;
mod request;
mod turn;

use buffers::{BUFFERS, Buffers, RECORDS};
pub(crate) use inbox::Inbox;
pub(crate) use left::take as take_left;
pub(super) use own::OwnRing;
use register::forget_buffers;
pub(crate) use register::{Cancel, cancel, duplicate, push};
use request::filled;
pub(crate) use request::{Outcome, Request, Target};

//! A record as words, which threads can share without a lock.

use core::array;

use super::SigInfo;
use super::info::take;

/// How many words a record has.
pub(crate) const WORDS: usize = size_of::<SigInfo>() / size_of::<u64>();

impl SigInfo {
    /// All of the record, what the kernel leaves zero too.
    pub(crate) fn to_words(self) -> [u64; WORDS] {
        // All fields, so that none is forgotten.
        let Self {
            signo,
            errno,
            code,
            pid,
            uid,
            fd,
            tid,
            band,
            overrun,
            trapno,
            status,
            int,
            ptr,
            utime,
            stime,
            addr,
            addr_lsb,
            pad2,
            syscall,
            call_addr,
            arch,
            pad,
            mark,
        } = self;
        let mut bytes = [0; 128];
        let mut rest = bytes.as_mut_slice();
        rest = put(rest, signo.to_ne_bytes());
        rest = put(rest, errno.to_ne_bytes());
        rest = put(rest, code.to_ne_bytes());
        rest = put(rest, pid.to_ne_bytes());
        rest = put(rest, uid.to_ne_bytes());
        rest = put(rest, fd.to_ne_bytes());
        rest = put(rest, tid.to_ne_bytes());
        rest = put(rest, band.to_ne_bytes());
        rest = put(rest, overrun.to_ne_bytes());
        rest = put(rest, trapno.to_ne_bytes());
        rest = put(rest, status.to_ne_bytes());
        rest = put(rest, int.to_ne_bytes());
        rest = put(rest, ptr.to_ne_bytes());
        rest = put(rest, utime.to_ne_bytes());
        rest = put(rest, stime.to_ne_bytes());
        rest = put(rest, addr.to_ne_bytes());
        rest = put(rest, addr_lsb.to_ne_bytes());
        rest = put(rest, pad2.to_ne_bytes());
        rest = put(rest, syscall.to_ne_bytes());
        rest = put(rest, call_addr.to_ne_bytes());
        rest = put(rest, arch.to_ne_bytes());
        rest = put(rest, pad);
        put(rest, [mark]);
        let mut rest = bytes.as_slice();
        array::from_fn(|_| u64::from_ne_bytes(take(&mut rest)))
    }

    /// Undoes [`to_words`](Self::to_words).
    pub(crate) fn from_words(words: [u64; WORDS]) -> Self {
        let mut bytes = [0; 128];
        let mut rest = bytes.as_mut_slice();
        for word in words {
            rest = put(rest, word.to_ne_bytes());
        }
        Self::decode(bytes)
    }
}

/// Puts `N` bytes where there is room for them, which there is, and returns the rest.
fn put<const N: usize>(room: &mut [u8], bytes: [u8; N]) -> &mut [u8] {
    let Some((head, rest)) = room.split_first_chunk_mut() else {
        return &mut [];
    };
    *head = bytes;
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        let mut byte = 0;
        let bytes = [(); 128].map(|()| {
            byte += 1;
            byte
        });
        let info = SigInfo::decode(bytes);
        let words = info.to_words();
        assert_eq!(words.map(u64::to_ne_bytes).concat(), bytes);
        assert_eq!(SigInfo::from_words(words), info);
    }
}

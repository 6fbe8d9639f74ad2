//! How the compiler answers: what it is, how long it is, the thing itself, and
//! its digest. A program that is no compiler does not do that by accident.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::error::LoadError;

const MAGIC: &[u8; 16] = b"oda-plugin-pipe1";
const CODE: u8 = 0;
const REFUSAL: u8 = 1;
/// The longest refusal, in bytes.
const MAX_REFUSAL: usize = 64 << 10;

/// What came out of the compiler's end of the pipe.
#[derive(Debug)]
pub(super) enum Answer {
    /// Compiled code.
    Code(Vec<u8>),
    /// The file cannot be used.
    Refused(Box<LoadError>),
    /// More than is taken.
    TooLarge,
    /// Something else.
    Nonsense,
    /// Not a whole answer: the compiler broke off.
    Nothing,
}

/// Writes an answer.
pub(super) fn write(mut out: impl Write, answer: Result<&[u8], &LoadError>) -> io::Result<()> {
    let (kind, payload) = match answer {
        Ok(code) => (CODE, code.to_vec()),
        Err(error) => (REFUSAL, serde_json::to_vec(error)?),
    };
    out.write_all(MAGIC)?;
    out.write_all(&[kind])?;
    out.write_all(&(payload.len() as u64).to_le_bytes())?;
    out.write_all(&payload)?;
    out.write_all(&Sha256::digest(&payload))?;
    out.flush()
}

/// Reads an answer with at most so much code.
pub(super) fn read(mut from: impl Read, most: usize) -> Answer {
    let mut head = [0; 25];
    let mut got = 0;
    while let Some(rest) = head.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(count) => got += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Answer::Nothing,
        }
    }
    let begun = head.get(..got.min(MAGIC.len())).unwrap_or_default();
    if !MAGIC.starts_with(begun) {
        return Answer::Nonsense;
    }
    if got < head.len() {
        return Answer::Nothing;
    }
    let Some(([.., kind], length)) = head.split_last_chunk::<8>() else {
        return Answer::Nothing;
    };
    let (kind, length) = (*kind, u64::from_le_bytes(*length));
    let most = match kind {
        CODE => most,
        REFUSAL => MAX_REFUSAL,
        _ => return Answer::Nonsense,
    };
    if usize::try_from(length).map_or(true, |length| length > most) {
        return Answer::TooLarge;
    }
    let mut payload = Vec::new();
    if from
        .by_ref()
        .take(length + 32)
        .read_to_end(&mut payload)
        .is_err()
    {
        return Answer::Nothing;
    }
    let Some((content, digest)) = payload.split_last_chunk::<32>() else {
        return Answer::Nothing;
    };
    if content.len() as u64 != length {
        return Answer::Nothing;
    }
    if Sha256::digest(content).as_slice() != digest.as_slice() {
        return Answer::Nonsense;
    }
    if kind == CODE {
        payload.truncate(content.len());
        return Answer::Code(payload);
    }
    match serde_json::from_slice(content) {
        Ok(error) => Answer::Refused(Box::new(error)),
        Err(_) => Answer::Nonsense,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(answer: Result<&[u8], &LoadError>) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, answer).expect("a vector takes everything");
        out
    }

    #[test]
    fn an_answer_arrives_as_it_was_written() {
        let code = written(Ok(b"code"));
        assert!(matches!(read(code.as_slice(), 4), Answer::Code(c) if c == b"code"));
        assert!(matches!(read(code.as_slice(), 3), Answer::TooLarge));
        let refusal = LoadError::ForbiddenImport {
            import: "wasi:x".to_owned(),
            hint: "leave it".to_owned(),
        };
        let Answer::Refused(error) = read(written(Err(&refusal)).as_slice(), 0) else {
            panic!("no refusal");
        };
        assert_eq!(error.to_string(), refusal.to_string());
    }

    #[test]
    fn what_is_cut_off_is_no_answer_and_what_is_changed_is_nonsense() {
        let code = written(Ok(b"code"));
        for end in 0..code.len() {
            assert!(
                matches!(read(&code[..end], 4), Answer::Nothing),
                "{end} of {}",
                code.len()
            );
        }
        for at in [0, 16, 25, code.len() - 1] {
            let mut changed = code.clone();
            changed[at] ^= 0x40;
            assert!(
                matches!(read(changed.as_slice(), 4), Answer::Nonsense),
                "{at}"
            );
        }
        assert!(matches!(read(&b"hello"[..], 4), Answer::Nonsense));
    }
}

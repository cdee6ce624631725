//! What another process answers, within bounds.

use reqwest::{Error, Response};

/// The body of an answer; `None` where it is longer than `most` bytes, of which no more is read then.
///
/// # Errors
/// It broke off. The error does not name the address, which may hold a signature.
pub async fn read(mut answer: Response, most: usize) -> Result<Option<Vec<u8>>, Error> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(Error::without_url)? {
        body.extend_from_slice(&piece);
        if body.len() > most {
            return Ok(None);
        }
    }
    Ok(Some(body))
}

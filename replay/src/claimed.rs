//! SHELL. The objects of claim-checked bodies: whether they are there, as their segment lists them.

use ring::digest::{Context, SHA256};
use schemas::Salt;

use crate::claim::Claim;
use crate::error::Error;
use crate::fetch::Store;

/// Whether a claim-checked body is there, as its segment lists it; without a salt it is encrypted and only its bytes count.
pub(crate) async fn check_claim(
    store: &Store,
    claim: Claim,
    salt: Option<Salt>,
    expired: bool,
) -> Result<Option<(String, &'static str)>, Error> {
    let key = claim.key();
    let Some((listed, sha256)) = claim.object else {
        return Ok(Some((key, "it was not there when its segment was sealed")));
    };
    // These bodies may be larger than what is held in memory, and so are hashed as they come.
    let mut object = Context::new(&SHA256);
    let mut content = salt.map(|salt| {
        let mut context = Context::new(&SHA256);
        context.update(b"chancery.body.v1\0");
        context.update(&salt.0);
        context
    });
    let size = store.stream(&key, |chunk| {
        object.update(chunk);
        if let Some(content) = &mut content {
            content.update(chunk);
        }
    });
    let size = size.await?;
    let object = object.finish();
    let content = content.map(Context::finish);
    Ok(match size {
        None if expired => None,
        None => Some((key, "it is gone")),
        Some(size) if size != listed || object.as_ref() != sha256.0 => {
            Some((key, "its bytes are not those that its segment lists"))
        }
        Some(_) if content.is_some_and(|digest| digest.as_ref() != claim.digest.0) => {
            Some((key, "its digest is not that of its salt and bytes"))
        }
        Some(_) => None,
    })
}

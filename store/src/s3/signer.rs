//! SHELL: signatures: of requests of our own, and anew of writes that carry a lock.
//!
//! The object store library has no option for a lock. It hands the extensions of a write to the HTTP layer, which adds the
//! lock's headers here; since S3 wants every `x-amz-` header signed, the request is then signed again, on each attempt with
//! the credentials of the moment.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::{ClientOptions, HeaderMap, HeaderValue};
use schemas::Digest;

use crate::lock::Lock;

const LOCK_MODE: &str = "x-amz-object-lock-mode";
const LOCK_UNTIL: &str = "x-amz-object-lock-retain-until-date";
const CONTENT: &str = "x-amz-content-sha256";

/// Signs requests as the settings of the bucket say.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    credentials: AwsCredentialProvider,
    region: String,
    /// False for a bucket that anybody may use.
    signs: bool,
    signs_content: bool,
    requester_pays: bool,
}

impl Signer {
    pub(super) fn new(builder: &AmazonS3Builder, credentials: AwsCredentialProvider) -> Self {
        let set = |key| builder.get_config_value(&key).is_some_and(|value| value == "true");
        let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
        Self {
            credentials,
            region: region.unwrap_or_else(|| "us-east-1".to_owned()),
            signs: !set(AmazonS3ConfigKey::SkipSignature),
            signs_content: !set(AmazonS3ConfigKey::UnsignedPayload),
            requester_pays: set(AmazonS3ConfigKey::RequestPayer),
        }
    }

    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// Signs a request whose content has this digest.
    pub(super) async fn sign(
        &self,
        request: &mut HttpRequest,
        content: &Digest,
    ) -> object_store::Result<()> {
        if self.signs {
            let credential = self.credentials.get_credential().await?;
            AwsAuthorizer::new(&credential, "s3", &self.region)
                .with_sign_payload(self.signs_content)
                .with_request_payer(self.requester_pays)
                .authorize(request, Some(&content.0));
        }
        Ok(())
    }

    async fn lock(&self, lock: Lock, request: &mut HttpRequest) -> object_store::Result<()> {
        let headers = request.headers_mut();
        headers.insert(LOCK_MODE, HeaderValue::from_static(lock.s3_mode()));
        let until = HeaderValue::try_from(lock.until.to_string());
        headers.insert(LOCK_UNTIL, until.map_err(generic)?);
        // Not from the body: what the library says of its emptiness is not to be relied on.
        let content = content(request.headers()).unwrap_or(Digest::ZERO);
        self.sign(request, &content).await
    }
}

/// The digest that the library signed the content with; `None` where it did not sign the content.
fn content(headers: &HeaderMap) -> Option<Digest> {
    headers.get(CONTENT)?.to_str().ok()?.parse().ok()
}

fn generic(source: impl std::error::Error + Send + Sync + 'static) -> object_store::Error {
    object_store::Error::Generic { store: "S3", source: Box::new(source) }
}

/// Makes the HTTP client of a bucket, and keeps it for requests of our own.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) signer: Signer,
    pub(super) client: Arc<OnceLock<HttpClient>>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let plain = ReqwestConnector::default().connect(options)?;
        let plain = self.client.get_or_init(|| plain).clone();
        Ok(HttpClient::new(LockedWrites { signer: self.signer.clone(), plain }))
    }
}

#[derive(Debug)]
struct LockedWrites {
    signer: Signer,
    plain: HttpClient,
}

impl HttpService for LockedWrites {
    fn call<'service, 'answer>(
        &'service self,
        mut request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'answer>>
    where
        'service: 'answer,
        Self: 'answer,
    {
        Box::pin(async move {
            if let Some(lock) = request.extensions().get::<Lock>().copied() {
                let locked = self.signer.lock(lock, &mut request).await;
                locked.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
            }
            self.plain.execute(request).await
        })
    }
}

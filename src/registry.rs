//! Components from OCI registries: pulled by the digest of their manifest, and checked byte by byte.
//!
//! A wasm artifact is a manifest with one layer of media type `application/wasm`. Whatever a registry answers, the manifest's
//! bytes must have the digest that was asked for, and the layer's bytes the digest that the manifest names: nothing between
//! here and who made the artifact can change it. Registries are those that the project names, and no other is spoken to.
//!
//! Source of the format: OCI image and distribution specs 1.1; the CNCF's guidance for wasm OCI artifacts.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{DigestError, OciDistributionError};
use oci_client::manifest::{OciDescriptor, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

use crate::deployment::{Deployment, Digest, OciReference, Registry, SecretError};

pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;
pub const COMPONENT_BYTES_MAX: usize = 64 * 1024 * 1024;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Between two parts of an answer.
const SILENCE_MAX: Duration = Duration::from_secs(15);
const MANIFESTS: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
const WASM: &str = "application/wasm";

/// The registries of a deployment, with their secrets.
pub struct Registries(BTreeMap<String, Known>);

struct Known {
    client: Client,
    auth: RegistryAuth,
}

#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// Another try may have it.
    #[error("registry {host} cannot be reached, or did not answer for {reference}")]
    Unreachable {
        host: String,
        reference: OciReference,
        #[source]
        source: Box<OciDistributionError>,
    },
    /// Another try may have it.
    #[error("registry {host} answered {code} for {reference}")]
    Failing { host: String, reference: OciReference, code: u16 },
    #[error("{host} is no registry of the project; declare [registries.\"{host}\"]")]
    UnknownRegistry { host: String },
    #[error("registry {host} has no {reference}; push it again")]
    Missing { host: String, reference: OciReference },
    #[error("registry {host} does not let us in: {reason}; set username and password of [registries.\"{host}\"]")]
    Denied { host: String, reason: String },
    #[error("{what} of {reference} has other bytes than its digest says ({found}); somebody changed it")]
    OtherBytes { what: &'static str, reference: OciReference, found: Box<Digest> },
    #[error("{reference} is no wasm artifact: {reason}")]
    NotWasm { reference: OciReference, reason: String },
}

impl PullError {
    /// Whether the registry may answer otherwise later.
    pub fn is_passing(&self) -> bool {
        match self {
            PullError::Unreachable { .. } | PullError::Failing { .. } => true,
            PullError::UnknownRegistry { .. }
            | PullError::Missing { .. }
            | PullError::Denied { .. }
            | PullError::OtherBytes { .. }
            | PullError::NotWasm { .. } => false,
        }
    }
}

impl Registries {
    /// Those of a deployment; secrets by `env`.
    pub fn from_deployment(deployment: &Deployment, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, SecretError> {
        let known = deployment.registries.iter().map(|(host, registry)| Ok((host.clone(), connect(registry, env)?)));
        Ok(Registries(known.collect::<Result<_, _>>()?))
    }

    /// The component of an artifact: its bytes, which are those that its makers pushed.
    pub async fn pull(&self, reference: &OciReference) -> Result<Bytes, PullError> {
        let host = &reference.host;
        let known = self.0.get(host).ok_or_else(|| PullError::UnknownRegistry { host: host.clone() })?;
        let image = Reference::with_digest(host.clone(), reference.name.clone(), reference.digest.to_string());
        let pulled = known.client.pull_manifest_raw(&image, &known.auth, &MANIFESTS).await;
        let (manifest, _) = pulled.map_err(|error| refused(reference, error))?;
        check("the manifest", reference, reference.digest, &manifest)?;
        let (layer, digest) = wasm_layer(reference, &manifest)?;
        let component = self.layer(known, &image, reference, &layer).await?;
        check("the component", reference, digest, &component)?;
        Ok(component)
    }

    async fn layer(
        &self,
        known: &Known,
        image: &Reference,
        reference: &OciReference,
        layer: &OciDescriptor,
    ) -> Result<Bytes, PullError> {
        let opened = known.client.pull_blob_stream(image, layer).await;
        let mut stream = opened.map_err(|error| refused(reference, error))?.stream;
        let mut component = BytesMut::new();
        while let Some(chunk) = stream.next().await {
            // The client checks digests too, and says so by an error of IO: what was changed is told by `check` here.
            let Ok(chunk) = chunk.inspect_err(|error| tracing::debug!(%reference, %error, "a layer broke off")) else {
                break;
            };
            component.extend_from_slice(&chunk);
            if component.len() > COMPONENT_BYTES_MAX {
                return Err(too_large(reference, component.len() as u64));
            }
        }
        Ok(component.freeze())
    }
}

fn connect(registry: &Registry, env: &dyn Fn(&str) -> Option<String>) -> Result<Known, SecretError> {
    let secret =
        |secret: &Option<crate::deployment::Secret>| secret.as_ref().map(|secret| secret.resolve(env)).transpose();
    let auth = match (secret(&registry.username)?, secret(&registry.password)?) {
        (Some(username), Some(password)) => RegistryAuth::Basic(username, password),
        (None, Some(token)) => RegistryAuth::Bearer(token),
        (_, None) => RegistryAuth::Anonymous,
    };
    let config = ClientConfig {
        protocol: if registry.insecure { ClientProtocol::Http } else { ClientProtocol::Https },
        read_timeout: Some(SILENCE_MAX),
        connect_timeout: Some(CONNECT_WITHIN),
        ..ClientConfig::default()
    };
    Ok(Known { client: Client::new(config), auth })
}

/// The layer that is the component, and its digest.
fn wasm_layer(reference: &OciReference, manifest: &[u8]) -> Result<(OciDescriptor, Digest), PullError> {
    let not_wasm = |reason: String| PullError::NotWasm { reference: reference.clone(), reason };
    if manifest.len() > MANIFEST_BYTES_MAX {
        return Err(too_large(reference, manifest.len() as u64));
    }
    let manifest: OciImageManifest =
        serde_json::from_slice(manifest).map_err(|error| not_wasm(format!("its manifest cannot be read: {error}")))?;
    let mut layers = manifest.layers.into_iter().filter(|layer| layer.media_type == WASM);
    let (Some(layer), None) = (layers.next(), layers.next()) else {
        return Err(not_wasm(format!("it needs one layer of media type {WASM}")));
    };
    if u64::try_from(layer.size).map_or(true, |size| size > COMPONENT_BYTES_MAX as u64) {
        return Err(too_large(reference, layer.size.unsigned_abs()));
    }
    let digest = layer.digest.parse().map_err(|error: crate::deployment::DigestError| not_wasm(error.to_string()))?;
    Ok((layer, digest))
}

fn too_large(reference: &OciReference, bytes: u64) -> PullError {
    let reason =
        format!("it has {bytes} bytes; a manifest has at most {MANIFEST_BYTES_MAX}, a component {COMPONENT_BYTES_MAX}");
    PullError::NotWasm { reference: reference.clone(), reason }
}

fn check(what: &'static str, reference: &OciReference, expected: Digest, bytes: &[u8]) -> Result<(), PullError> {
    let found = Box::new(Digest::of(bytes));
    if *found == expected { Ok(()) } else { Err(PullError::OtherBytes { what, reference: reference.clone(), found }) }
}

/// What a registry's refusal means.
fn refused(reference: &OciReference, error: OciDistributionError) -> PullError {
    let (host, reference) = (reference.host.clone(), reference.clone());
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) | OciDistributionError::ServerError { code: 404, .. } => {
            PullError::Missing { host, reference }
        }
        OciDistributionError::RegistryError { envelope, .. }
            if envelope.errors.iter().any(|error| {
                use oci_client::errors::OciErrorCode::{BlobUnknown, ManifestUnknown, NameUnknown, NotFound};
                [BlobUnknown, ManifestUnknown, NameUnknown, NotFound].contains(&error.code)
            }) =>
        {
            PullError::Missing { host, reference }
        }
        OciDistributionError::AuthenticationFailure(reason) => PullError::Denied { host, reason },
        OciDistributionError::UnauthorizedError { .. } => {
            PullError::Denied { host, reason: "it wants a name and a password".to_owned() }
        }
        // The client compares the manifest's digest with the one that was asked for.
        OciDistributionError::DigestError(DigestError::VerificationError { actual, .. })
            if actual.parse::<Digest>().is_ok() =>
        {
            let found = Box::new(actual.parse().expect("it was parsed before"));
            PullError::OtherBytes { what: "the manifest", reference, found }
        }
        OciDistributionError::ServerError { code, .. } => PullError::Failing { host, reference, code },
        source => PullError::Unreachable { host, reference, source: Box::new(source) },
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

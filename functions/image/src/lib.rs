//! Identifies what was pushed to a registry: an artifact of a service becomes `artifact.identified`, by its digest, and each of
//! the service's `scans` is asked for by `scan.requested`.
//!
//! It hears `artifact.published`, and what a registry's trigger says of a push without a digest, like `com.distribution.push`. The
//! repository and the digest are those of `data.artifact`, else of the package URL in the subject.
//!
//! - **Artifacts of no service** of config `plan` are a log line, and nothing else. What nobody proved is a dead letter.
//! - **The manifest is fetched by its digest** and its bytes are checked against it: other bytes are a dead letter. It is asked for at
//!   `/v2/NAME/manifests/DIGEST` of the connection that config `connection` names ("registry"), as OCI or Docker types.
//! - **A tag without a digest is resolved once**, when it is heard of first, and remembered in key space `images`; the registry's own
//!   `Docker-Content-Digest` must be that of the bytes. When it is pushed again it is not followed, and the log says so: push by
//!   digest, or under a tag of its own. So is a tag in the log that comes with another digest than before; that digest is
//!   identified as itself.
//! - **The commit** is what the annotation `org.opencontainers.image.revision` claims. It is a claim: whoever builds an image writes
//!   what he likes, and a gate counts it only where its policy says so.
//! - **An index** is told with the digests of its images, one for each platform; attestations among them are left out.
//! - A push that is told again is told again here, and its scans are asked for again.
//!
//! A registry that does not answer, answers 5xx or says that it has no such manifest yet is asked again; one that does not let the
//! connection in makes a dead letter. The subject is the package URL, the partition key the digest.

mod manifest;
mod registry;

use delivery::{Artifact, Identified, Plan, ScanRequested, digest_of_purl, is_digest, purl, say, types};
use serde::Deserialize;
use tidegate_sdk::{Event, Failure, config, info, kv, warn};

use crate::manifest::Manifest;
use crate::registry::Registry;

/// The key space of tags that were resolved or heard of, by `<repository>:<tag>`: the digest.
const TAGS: &str = "images";

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    let plan = Plan::read()?;
    let pushed = pushed(&event)?;
    let Some((name, service)) = plan.service_of_artifact(&pushed.repository) else {
        info!("{} belongs to no service of the plan", pushed.repository);
        return Ok(Vec::new());
    };
    if !event.origin.as_ref().is_some_and(|origin| origin.verified) {
        let reason = format!("nobody proved who told of {}; give the webhook a secret or a token", pushed.repository);
        return Err(Failure::reject(reason));
    }
    let registry =
        Registry::of(&config::text("connection")?.unwrap_or_else(|| "registry".to_owned()), &pushed.repository)?;
    let Some((digest, manifest)) = fetched(&registry, &pushed)? else { return Ok(Vec::new()) };
    let identified = Identified {
        service: name.to_owned(),
        digest: digest.clone(),
        artifact: pushed.repository,
        tag: pushed.tag,
        commit: manifest.commit(),
        resolved: pushed.digest.is_none(),
        parts: manifest.parts(),
    };
    let subject = purl(&identified.artifact, &digest);
    let mut said = vec![say(types::ARTIFACT_IDENTIFIED, &subject, &digest, &identified)?];
    for kind in &service.scans {
        let requested = ScanRequested { service: name.to_owned(), digest: digest.clone(), kind: *kind };
        said.push(say(types::SCAN_REQUESTED, &subject, &digest, &requested)?);
    }
    Ok(said)
}

tidegate_sdk::export!(handle);

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    artifact: Option<Artifact>,
}

/// What an event says was pushed.
struct Pushed {
    repository: String,
    digest: Option<String>,
    tag: Option<String>,
}

fn pushed(event: &Event) -> Result<Pushed, Failure> {
    let subject = event.subject.as_deref().unwrap_or_default();
    let Data { artifact } = event.data()?;
    let (repository, digest, tag) =
        artifact.map_or((None, None, None), |artifact| (artifact.repository, artifact.digest, artifact.tag));
    let repository = repository.or_else(|| repository_of_purl(subject)).ok_or_else(|| {
        let reason = "names no repository: neither data.artifact nor repository_url of a package URL says which";
        Failure::reject(format!("the event of type {} {reason}", event.ty))
    })?;
    match digest.or_else(|| digest_of_purl(subject)) {
        Some(digest) if !is_digest(&digest) => {
            Err(Failure::reject(format!("{digest:?} is no digest: sha256: and 64 lower-case hex digits")))
        }
        digest => Ok(Pushed { repository, digest, tag }),
    }
}

fn repository_of_purl(subject: &str) -> Option<String> {
    let (_, qualifiers) = subject.strip_prefix("pkg:oci/")?.split_once('?')?;
    let repository = qualifiers.split('&').find_map(|pair| pair.strip_prefix("repository_url="))?;
    // Registries' hosts and repositories have no other characters that a URL escapes.
    Some(repository.replace("%2F", "/").replace("%2f", "/").replace("%3A", ":").replace("%3a", ":"))
}

/// The manifest by its digest. None: the tag was resolved before, and is not read again.
fn fetched(registry: &Registry, pushed: &Pushed) -> Result<Option<(String, Manifest)>, Failure> {
    let tags = kv::open(TAGS)?;
    let key = pushed.tag.as_ref().map(|tag| format!("{}:{tag}", pushed.repository));
    let before: Option<String> = key.as_ref().map(|key| tags.get_json(key)).transpose()?.flatten();
    let (digest, bytes) = match (&pushed.digest, &pushed.tag, &before) {
        (Some(digest), _, _) => (digest.clone(), registry.by_digest(digest)?),
        (None, Some(tag), Some(before)) => {
            let repository = &pushed.repository;
            warn!(
                "{repository}:{tag} was pushed again; it stands for {before} and is not followed: push by digest or under another tag"
            );
            return Ok(None);
        }
        (None, Some(tag), None) => registry.by_tag(tag)?,
        (None, None, _) => {
            return Err(Failure::reject(format!("the push to {} names neither digest nor tag", pushed.repository)));
        }
    };
    let manifest =
        Manifest::read(&bytes).map_err(|problem| Failure::reject(format!("the manifest {digest} {problem}")))?;
    if let Some(key) = key {
        match before {
            None => tags.set_json(&key, &digest)?,
            Some(before) if before != digest => {
                warn!("{key} stood for {before} and was moved to {digest}; the tag is not followed")
            }
            Some(_) => {}
        }
    }
    Ok(Some((digest, manifest)))
}

#[cfg(test)]
mod tests;

//! What is known, in key space `evidence-<environment>`. Evidence is kept under what it is about, so that it does not matter what
//! comes first; of two that say the same, the one that counts is chosen by what they say, never by which came last.
//!
//! | key | value |
//! | --- | --- |
//! | `digest/<digest>` | [`Known`]: where it lies, what ties it to commits, what was said of its releases |
//! | `commit/<commit>` | the digests that were made of it |
//! | `change/<repository>/<commit>` | [`Changed`]: how it came to a branch |
//! | `scans/<digest or commit>/<kind>` | the names of the scans there are, each `scan/<name>`: [`Scan`] |
//! | `verified/<digest>/<environment>` | releases that were verified, each with its witness |
//! | `seen/<hash>` | when a finding that tells no date was seen first |

use std::collections::{BTreeMap, BTreeSet};

use delivery::policy::gate::{Need, Policy};
use delivery::{Change, Kind, ScanCompleted, sha256};
use tidegate_sdk::{Failure, kv};

use crate::evidence::{Evidence, Witness};
use crate::kept::{Accepted, Changed, Found, Known, Links, Refused, Scan};

pub struct Ledger {
    space: kv::KeySpace,
}

impl Ledger {
    pub fn open(environment: &str) -> Result<Self, Failure> {
        Ok(Ledger { space: kv::open(&format!("evidence-{environment}"))? })
    }

    pub fn known(&self, digest: &str) -> Result<Option<Known>, Failure> {
        Ok(self.space.get_json(&format!("digest/{digest}"))?)
    }

    pub fn keep(&self, digest: &str, known: &Known) -> Result<(), Failure> {
        Ok(self.space.set_json(&format!("digest/{digest}"), known)?)
    }

    pub fn changed(&self, repository: &str, commit: &str) -> Result<Changed, Failure> {
        Ok(self.space.get_json(&change_key(repository, commit))?.unwrap_or_default())
    }

    /// Every scan of a kind of a digest or a commit.
    pub fn scans(&self, subject: &str, kind: Kind) -> Result<Vec<Scan>, Failure> {
        let names: BTreeSet<String> = self.space.get_json(&scans_key(subject, kind))?.unwrap_or_default();
        let scans = names.iter().map(|name| Ok(self.space.get_json(&format!("scan/{name}"))?));
        scans.filter_map(Result::transpose).collect()
    }

    pub fn verified(&self, digest: &str, environment: &str) -> Result<BTreeMap<String, Witness>, Failure> {
        Ok(self.space.get_json(&verified_key(digest, environment))?.unwrap_or_default())
    }

    pub fn seen(&self, found: &Found) -> Result<Option<String>, Failure> {
        Ok(self.space.get_json(&format!("seen/{}", found.name()))?)
    }

    /// Adds evidence, and answers the digests that it bears on.
    pub fn add(&self, evidence: &Evidence, witness: Witness, policy: &Policy) -> Result<BTreeSet<String>, Failure> {
        match evidence {
            Evidence::Accepted(change) => self.add_accepted(change, witness),
            Evidence::Refused(change) => self.add_refused(change, witness),
            Evidence::Packaged(packaged) => {
                let link = |links: &mut Links| newest(&mut links.pipeline, witness);
                self.tie(&packaged.artifact, &packaged.digest, Some(&packaged.commit), link)
            }
            Evidence::Identified(identified) => {
                let counts = policy.trusts(&Need::Provenance, &witness.origin);
                let commit = identified.commit.as_deref().filter(|commit| counts && delivery::is_commit(commit));
                let link = |links: &mut Links| newest(&mut links.provenance, witness);
                self.tie(&identified.artifact, &identified.digest, commit, link)
            }
            Evidence::Scanned(scan) => self.add_scan(scan, witness, policy),
            Evidence::Verified(verified) => {
                let release = &verified.release;
                let mut releases = self.verified(&release.digest, &verified.environment)?;
                let mut slot = releases.remove(&release.release);
                newest(&mut slot, witness);
                releases.extend(slot.map(|witness| (release.release.clone(), witness)));
                self.space.set_json(&verified_key(&release.digest, &verified.environment), &releases)?;
                Ok([release.digest.clone()].into())
            }
        }
    }

    fn add_accepted(&self, change: &Change, witness: Witness) -> Result<BTreeSet<String>, Failure> {
        let mut changed = self.changed(&change.repository, &change.commit)?;
        let accepted = Accepted { order: change.order.clone(), witness };
        // Where a commit came to several branches, the first counts for its place.
        let rank = |accepted: &Accepted| (accepted.order.clone(), accepted.witness.event.clone());
        if changed.accepted.as_ref().is_none_or(|before| rank(&accepted) < rank(before)) {
            changed.accepted = Some(accepted);
        }
        self.keep_change(change, &changed)
    }

    fn add_refused(&self, change: &Change, witness: Witness) -> Result<BTreeSet<String>, Failure> {
        let verdict = change.refused.clone().ok_or_else(|| Failure::reject("a refused change names no rule"))?;
        let mut changed = self.changed(&change.repository, &change.commit)?;
        let rank = |refused: &Refused| (refused.witness.at.clone(), refused.witness.event.clone());
        let refused = Refused { witness, verdict };
        if changed.refused.as_ref().is_none_or(|before| rank(&refused) > rank(before)) {
            changed.refused = Some(refused);
        }
        self.keep_change(change, &changed)
    }

    fn keep_change(&self, change: &Change, changed: &Changed) -> Result<BTreeSet<String>, Failure> {
        self.space.set_json(&change_key(&change.repository, &change.commit), changed)?;
        self.made_of(&change.commit)
    }

    /// The digests that were made of a commit.
    fn made_of(&self, commit: &str) -> Result<BTreeSet<String>, Failure> {
        Ok(self.space.get_json(&format!("commit/{commit}"))?.unwrap_or_default())
    }

    fn tie(
        &self,
        artifact: &str,
        digest: &str,
        commit: Option<&str>,
        link: impl FnOnce(&mut Links),
    ) -> Result<BTreeSet<String>, Failure> {
        let mut known = self.known(digest)?.unwrap_or_default();
        let commits = known.artifacts.entry(artifact.to_owned()).or_default();
        if let Some(commit) = commit {
            link(commits.entry(commit.to_owned()).or_default());
            let mut made = self.made_of(commit)?;
            made.insert(digest.to_owned());
            self.space.set_json(&format!("commit/{commit}"), &made)?;
        }
        self.keep(digest, &known)?;
        Ok([digest.to_owned()].into())
    }

    fn add_scan(&self, said: &ScanCompleted, witness: Witness, policy: &Policy) -> Result<BTreeSet<String>, Failure> {
        let subject = said.digest.as_ref().or(said.commit.as_ref());
        let subject = subject.ok_or_else(|| Failure::reject("a scan names neither digest nor commit"))?;
        let scan = Scan::of(said, witness);
        self.see(&scan, policy)?;
        let name = sha256([subject, kind_name(said.kind), &scan.name()].join("\n").as_bytes());
        let key = format!("scan/{name}");
        let before: Option<Scan> = self.space.get_json(&key)?;
        if before.is_none_or(|before| scan.replaces(&before)) {
            self.space.set_json(&key, &scan)?;
        }
        let mut names: BTreeSet<String> = self.space.get_json(&scans_key(subject, said.kind))?.unwrap_or_default();
        if names.insert(name) {
            self.space.set_json(&scans_key(subject, said.kind), &names)?;
        }
        match &said.digest {
            Some(digest) => Ok([digest.clone()].into()),
            None => self.made_of(subject),
        }
    }

    /// Remembers when findings that have grace and no date were seen first.
    fn see(&self, scan: &Scan, policy: &Policy) -> Result<(), Failure> {
        for found in scan.findings.iter().filter(|found| found.waits_from_sight(&policy.severity)) {
            if self.seen(found)?.is_none_or(|before| scan.witness.at < before) {
                self.space.set_json(&format!("seen/{}", found.name()), &scan.witness.at)?;
            }
        }
        Ok(())
    }
}

/// Of two words that say the same, the later counts, since what it says is fresher.
fn newest(slot: &mut Option<Witness>, witness: Witness) {
    if slot.as_ref().is_none_or(|before| (&witness.at, &witness.event) > (&before.at, &before.event)) {
        *slot = Some(witness);
    }
}

fn change_key(repository: &str, commit: &str) -> String {
    format!("change/{repository}/{commit}")
}

fn verified_key(digest: &str, environment: &str) -> String {
    format!("verified/{digest}/{environment}")
}

fn scans_key(subject: &str, kind: Kind) -> String {
    format!("scans/{subject}/{}", kind_name(kind))
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Image => "image",
        Kind::Dependency => "dependency",
        Kind::Static => "static",
    }
}

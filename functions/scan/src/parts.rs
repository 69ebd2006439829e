//! Images of an index, and what was reported of each, in key space `scans`:
//!
//! | key | value |
//! | --- | --- |
//! | `index/<digest>` | digests of its images |
//! | `part/<digest>` | digests of the indexes that it is an image of |
//! | `reports/<digest>` | a list of `Name`: what was reported of it |
//! | `report/<digest>/<hash>` | the last `ScanCompleted` of a name |

use std::collections::{BTreeMap, BTreeSet};

use delivery::{Kind, ScanCompleted, instant, is_digest, sha256};
use serde::{Deserialize, Serialize};
use tidegate_sdk::kv::{self, KeySpace};
use tidegate_sdk::{Failure, info};

use crate::report::of_index;

const SPACE: &str = "scans";
/// The part of a scan that was made of an index's images, beside what a tool says of the index itself.
const PLATFORMS: &str = "platforms";
/// Images of one index.
const PARTS_MAX: usize = 64;

pub struct Parts {
    space: KeySpace,
}

/// What tells reports on one image apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Name {
    kind: Kind,
    tool: String,
    part: Option<String>,
}

impl Parts {
    pub fn open() -> Result<Self, Failure> {
        Ok(Parts { space: kv::open(SPACE)? })
    }

    /// Keeps a scan of a digest, and answers the scans of indexes that it makes whole.
    pub fn add(&self, scan: &ScanCompleted) -> Result<Vec<ScanCompleted>, Failure> {
        let Some(digest) = &scan.digest else { return Ok(Vec::new()) };
        let name = Name { kind: scan.kind, tool: scan.tool.name.clone(), part: scan.part.clone() };
        let before: Option<ScanCompleted> = self.space.get_json(&name.key(digest))?;
        let time = |scan: &ScanCompleted| scan.scanned_at.as_deref().and_then(instant);
        if before.is_some_and(|before| time(&before) > time(scan)) {
            return Ok(Vec::new());
        }
        self.space.set_json(&name.key(digest), scan)?;
        let mut names = self.names(digest)?;
        if names.insert(name.clone()) {
            self.space.set_json(&format!("reports/{digest}"), &names)?;
        }
        let indexes = self.digests(&format!("part/{digest}"))?;
        let scans = indexes.iter().map(|index| self.whole(index, &name));
        scans.filter_map(Result::transpose).collect()
    }

    /// Keeps what an index is made of, and answers its scans, as far as its images have them.
    pub fn index(&self, index: &str, parts: &[String]) -> Result<Vec<ScanCompleted>, Failure> {
        let parts: BTreeSet<String> = parts.iter().filter(|part| is_digest(part)).cloned().collect();
        if parts.len() > PARTS_MAX {
            info!("{index} has {} images; more than {PARTS_MAX} are not joined: scan the index itself", parts.len());
            return Ok(Vec::new());
        }
        let Some(first) = parts.first() else { return Ok(Vec::new()) };
        self.space.set_json(&format!("index/{index}"), &parts)?;
        for part in &parts {
            let key = format!("part/{part}");
            let mut indexes = self.digests(&key)?;
            if indexes.insert(index.to_owned()) {
                self.space.set_json(&key, &indexes)?;
            }
        }
        let names = self.names(first)?;
        names.iter().map(|name| self.whole(index, name)).filter_map(Result::transpose).collect()
    }

    /// The scan of an index by one name, if every image of it has one.
    fn whole(&self, index: &str, name: &Name) -> Result<Option<ScanCompleted>, Failure> {
        let mut scans = BTreeMap::new();
        for part in self.digests(&format!("index/{index}"))? {
            match self.space.get_json::<ScanCompleted>(&name.key(&part))? {
                Some(scan) => drop(scans.insert(part, scan)),
                None => return Ok(None),
            }
        }
        let part = name.part.as_ref().map_or_else(|| PLATFORMS.to_owned(), |part| format!("{PLATFORMS}/{part}"));
        Ok(of_index(index, &part, scans))
    }

    fn names(&self, digest: &str) -> Result<BTreeSet<Name>, Failure> {
        Ok(self.space.get_json(&format!("reports/{digest}"))?.unwrap_or_default())
    }

    fn digests(&self, key: &str) -> Result<BTreeSet<String>, Failure> {
        Ok(self.space.get_json(key)?.unwrap_or_default())
    }
}

impl Name {
    fn key(&self, digest: &str) -> String {
        let text = format!("{:?}\n{}\n{}", self.kind, self.tool, self.part.as_deref().unwrap_or_default());
        format!("report/{digest}/{}", sha256(text.as_bytes()))
    }
}

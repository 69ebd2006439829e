//! What an event asks of the runner, and how it is told what became of that.

use std::collections::BTreeMap;

use bytes::Bytes;
use delivery::{Executor, TaskRequested, TaskResult, say_cd, types};
use serde::Deserialize;

use crate::event::{Accepted, Event, OriginKind};
use crate::outcome::{Failure, FailureKind};

/// A CDEvent's data, as far as it is read.
#[derive(Deserialize)]
struct Data {
    subject: Subject,
}

#[derive(Deserialize)]
struct Subject {
    content: TaskRequested,
}

/// A task that is a process.
pub struct Asked {
    pub task: TaskRequested,
    /// As the operator's list calls it.
    pub program: String,
    pub arguments: Vec<String>,
    pub env: BTreeMap<String, String>,
}

/// The task that an event asks for. None: it is another executor's.
pub fn read(accepted: &Accepted) -> Result<Option<Asked>, Failure> {
    let (event, origin) = (&accepted.event, &accepted.origin);
    let rejected = |reason: String| Failure::new(FailureKind::Rejected, reason);
    if origin.kind != OriginKind::Function || !origin.verified {
        let kind = origin.kind.as_str();
        return Err(rejected(format!("only a function may ask for a process; this comes from {kind} {}", origin.name)));
    }
    let data = event.data.as_deref().unwrap_or_default();
    let Data { subject: Subject { content: task } } = serde_json::from_slice(data)
        .map_err(|error| rejected(format!("the data of {} is no request of a task: {error}", event.ty)))?;
    let Executor::Process { argv, env } = &task.executor else { return Ok(None) };
    match argv.split_first() {
        Some((program, arguments)) => {
            let (program, arguments, env) = (program.clone(), arguments.to_vec(), env.clone());
            Ok(Some(Asked { task, program, arguments, env }))
        }
        None => Err(rejected("argv is empty; it begins with the program's name".to_owned())),
    }
}

/// The event that says what became of a task.
pub fn finished(task: &TaskRequested, result: TaskResult) -> Event {
    let (content, custom) = task.finished(result);
    let said = say_cd(types::TASKRUN_FINISHED, &task.id(), &task.commit, &content, &custom);
    let said = said.expect("the words of the path have a form in JSON");
    Event {
        ty: said.ty,
        subject: said.subject,
        datacontenttype: said.datacontenttype,
        data: said.data.map(Bytes::from),
        ..Event::default()
    }
}

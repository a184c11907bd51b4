//! The steps of a job as the agent gets them.

use super::conditions;
use super::expression::Expression;
use super::yaml::{Node, Refused};

/// A step.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// `name`, or one that the server makes of the task and a number.
    pub name: String,
    pub display_name: String,
    pub condition: Option<Expression>,
    pub continue_on_error: bool,
    /// In minutes.
    pub timeout: Option<f64>,
    pub env: Vec<(String, String)>,
    pub action: Action,
}

/// What a step does.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// `script`, which is `CmdLine@2`, or `bash`, which is `Bash@3`.
    Script { keyword: &'static str, script: String, directory: Option<String> },
    /// A task with its inputs as they are written.
    Task { reference: String, inputs: Vec<(String, String)> },
    /// `checkout: self`: it runs nothing here, but is cleaned up last.
    Checkout,
}

impl Step {
    /// The steps of a sequence that are enabled.
    pub(super) fn read_all(node: &Node) -> Result<Vec<Self>, Refused> {
        let mut steps: Vec<Step> = Vec::new();
        for item in node.items()? {
            let Some(mut step) = Step::read(item)? else { continue };
            if step.name.is_empty() {
                let kind = step.kind();
                let number = 1 + steps.iter().filter(|other| other.kind() == kind).count();
                step.name = format!("{}{number}", kind.replace('@', ""));
            } else if steps.iter().any(|other| other.name.eq_ignore_ascii_case(&step.name)) {
                return item.refuse(format!("two steps have the name `{}`", step.name));
            }
            steps.push(step);
        }
        Ok(steps)
    }

    /// The step `checkout: self`.
    pub(super) fn checkout() -> Self {
        Step {
            name: "Checkout1".to_owned(),
            display_name: "Checkout".to_owned(),
            condition: None,
            continue_on_error: false,
            timeout: None,
            env: Vec::new(),
            action: Action::Checkout,
        }
    }

    /// `None` for a step that is not enabled.
    fn read(node: &Node) -> Result<Option<Self>, Refused> {
        let mut common = Step { name: String::new(), display_name: String::new(), ..Step::checkout() };
        let mut is_enabled = true;
        let mut own = Vec::new();
        for (field, value) in node.fields()? {
            match field {
                "name" => common.name = name(value)?,
                "displayName" => value.text()?.clone_into(&mut common.display_name),
                "condition" => common.condition = condition(value)?,
                "continueOnError" => common.continue_on_error = truth(value)?,
                "enabled" => is_enabled = truth(value)?,
                "timeoutInMinutes" => common.timeout = minutes(value)?,
                "env" => common.env = texts(value)?,
                other => own.push((other, value)),
            }
        }
        common.action = action(node, &own)?;
        if common.display_name.is_empty() {
            common.display_name = common.kind();
        }
        Ok(is_enabled.then_some(common))
    }

    /// The task that it is.
    pub(super) fn kind(&self) -> String {
        match &self.action {
            Action::Script { keyword: "bash", .. } => "Bash".to_owned(),
            Action::Script { .. } => "CmdLine".to_owned(),
            Action::Task { reference, .. } => reference.clone(),
            Action::Checkout => "Checkout".to_owned(),
        }
    }
}

fn action(node: &Node, fields: &[(&str, &Node)]) -> Result<Action, Refused> {
    let Some(((kind, value), rest)) = fields.split_first() else {
        return node.refuse("this step does nothing");
    };
    let unknown = |name: &str, value: &Node| {
        value.refuse(format!("the imitation does not know `{name}` of a step with `{kind}`"))
    };
    match *kind {
        "script" | "bash" => {
            let keyword = if *kind == "bash" { "bash" } else { "script" };
            let mut directory = None;
            for (name, value) in rest {
                match *name {
                    "workingDirectory" => directory = Some(value.text()?.to_owned()),
                    other => return unknown(other, value),
                }
            }
            Ok(Action::Script { keyword, script: value.text()?.to_owned(), directory })
        }
        "task" => {
            let mut inputs = Vec::new();
            for (name, value) in rest {
                match *name {
                    "inputs" => inputs = texts(value)?,
                    other => return unknown(other, value),
                }
            }
            Ok(Action::Task { reference: value.text()?.to_owned(), inputs })
        }
        "checkout" if matches!(value.text()?, "self" | "none") => {
            match rest.iter().find(|(name, _)| !is_of_checkout(name)) {
                Some((name, value)) => unknown(name, value),
                None => Ok(Action::Checkout),
            }
        }
        other => node.refuse(format!("the imitation does not know steps with `{other}` first")),
    }
}

fn is_of_checkout(name: &str) -> bool {
    ["clean", "fetchDepth", "fetchTags", "lfs", "persistCredentials", "submodules"].contains(&name)
}

/// Names are letters, digits and underscores.
fn name(node: &Node) -> Result<String, Refused> {
    let name = node.text()?;
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return node.refuse(format!("`{name}` is not a name of a step"));
    }
    Ok(name.to_owned())
}

fn condition(node: &Node) -> Result<Option<Expression>, Refused> {
    match node.text()?.trim() {
        "" => Ok(None),
        text => conditions::parse(text).map(Some).or_else(|why| node.refuse(why)),
    }
}

fn truth(node: &Node) -> Result<bool, Refused> {
    match node.text()?.to_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => node.refuse(format!("`{other}` is not true or false")),
    }
}

/// Zero stands for no limit (`TaskRunner.Timeout`).
fn minutes(node: &Node) -> Result<Option<f64>, Refused> {
    match node.text()?.parse::<f64>() {
        Ok(minutes) => Ok((minutes > 0.0).then_some(minutes)),
        Err(_) => node.refuse("expected minutes"),
    }
}

fn texts(node: &Node) -> Result<Vec<(String, String)>, Refused> {
    node.fields()?.into_iter().map(|(name, value)| Ok((name.to_owned(), value.text()?.to_owned()))).collect()
}

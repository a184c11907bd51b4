//! What is expanded before a job starts.

use std::fs;

use cachekeep_test_support::azure_agent::{Job, Pipeline, Status};

use super::pipeline;

/// What a pipeline of this text prints, without what the agent adds.
fn printed(pipeline: &Pipeline) -> Vec<String> {
    let job = Job::new(pipeline).run().expect(Status::Succeeded);
    job.log.lines().filter(|line| !line.starts_with("##[section]")).map(str::to_owned).collect()
}

#[test]
fn parameters_have_types_defaults_and_values() {
    let text = "
parameters:
  - { name: names, type: object, default: [a, b] }
  - { name: flag, type: boolean, default: 'false' }
  - { name: count, type: number, default: 3 }
  - { name: word, type: string, default: it's, values: [it's, other] }
steps:
  - bash: echo \"${{ join(' ', parameters.names) }} ${{ parameters.flag }} ${{ parameters.count }} ${{ parameters['WORD'] }}\"
";
    assert_eq!(printed(&pipeline(text)), ["a b False 3 it's"]);
    let with = |name: &str, value: &str| {
        Pipeline::of_text(std::path::Path::new("."), text).parameter(name, value).load().map(|_| ())
    };
    assert_eq!(with("word", "other"), Ok(()));
    for (name, value, why) in [
        ("word", "none", "`none` is not allowed for `word`"),
        ("flag", "maybe", "the value of `flag` is not a boolean"),
        ("count", "many", "the value of `count` is not a number"),
        ("wrod", "x", "unexpected parameter `wrod`"),
    ] {
        let error = with(name, value).expect_err(value).to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn instructions_choose_and_repeat() {
    let text = "
parameters:
  - { name: kind, type: string, default: b }
  - { name: names, type: object, default: [x, y] }
  - { name: pairs, type: object, default: { one: 1, two: 2 } }
steps:
  - ${{ if eq(parameters.kind, 'a') }}:
      - bash: echo a
  - ${{ elseif in(parameters.kind, 'b', 'c') }}:
      - bash: echo b or c
  - ${{ else }}:
      - bash: echo neither
  - ${{ if startsWith(parameters.kind, 'B') }}:
      - bash: echo starts
  - ${{ else }}:
      - bash: echo does not start
  - ${{ each name in parameters.names }}:
      - bash: echo ${{ format('{0}-{{1}}', name) }}
  - bash: env | grep ^MINE_ | sort
    env:
      ${{ if and(ne(parameters.kind, 'a'), not(false)) }}:
        MINE_IF: yes
      ${{ else }}:
        MINE_ELSE: yes
      ${{ each pair in parameters.pairs }}:
        MINE_${{ upper(pair.key) }}: ${{ pair.value }}
";
    let lines = ["b or c", "starts", "x-{1}", "y-{1}", "MINE_IF=yes", "MINE_ONE=1", "MINE_TWO=2"];
    assert_eq!(printed(&pipeline(text)), lines);
}

#[test]
fn a_boolean_on_the_left_takes_any_text_on_the_right_as_true() {
    let text = "
parameters: [{ name: flag, type: boolean, default: true }]
steps:
  - bash: echo ${{ eq(parameters.flag, 'false') }} ${{ eq('false', parameters.flag) }} ${{ coalesce('', 'x') }}
";
    assert_eq!(printed(&pipeline(text)), ["True False x"]);
}

#[test]
fn templates_take_parameters_and_lists_of_steps() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, text).expect("a file");
    };
    write(
        "steps/around.yml",
        "
parameters:
  - { name: body, type: stepList, default: [] }
  - { name: who, type: string }
steps:
  - bash: echo before ${{ parameters.who }}
  - ${{ parameters.body }}
  - template: ../after.yml
",
    );
    write("after.yml", "steps: [{ bash: echo after }]\n");
    write(
        "azure-pipelines.yml",
        "
trigger: none
steps:
  - template: steps/around.yml
    parameters:
      who: me
      body: [{ bash: echo body }]
  - template: /after.yml
",
    );
    let file = directory.path().join("azure-pipelines.yml");
    assert_eq!(printed(&Pipeline::load(&file).expect("a pipeline")), ["before me", "body", "after", "after"]);
    write("elsewhere.yml", "steps: [{ template: after.yml@other }]\n");
    let elsewhere = directory.path().join("elsewhere.yml");
    assert!(Pipeline::load(&elsewhere).is_err());
    let loaded = Pipeline::of(&elsewhere).repository("other", directory.path()).load().expect("a pipeline");
    assert_eq!(printed(&loaded), ["after"]);
}

#[test]
fn what_the_imitation_does_not_know_is_an_error() {
    for (text, why) in [
        ("steps: [{ powershell: x }]", "steps with `powershell`"),
        ("steps: [{ bash: x, retryCountOnTaskFailure: 2 }]", "`retryCountOnTaskFailure`"),
        ("steps: [{ bash: x, condition: succeded() }]", "the function `succeded`"),
        ("stages: []", "`stages` of a pipeline"),
        ("steps: [{ bash: '${{ variables.x }}' }]", "`variables`"),
        ("steps: [{ bash: '${{ counter(1) }}' }]", "the function `counter`"),
        ("steps: [{ bash: a }, { bash: b", "this is not YAML"),
        ("steps: [{ bash: a, bash: b }]", "defined twice"),
        ("steps: [{ '${{ else }}': [] }]", "there is no `if`"),
        ("steps: [{ bash: a, name: a-b }]", "not a name of a step"),
        ("parameters: [{ name: x }]\nsteps: []", "a value for the parameter `x` must be given"),
    ] {
        let error = Pipeline::parse(text).map(|_| ()).expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

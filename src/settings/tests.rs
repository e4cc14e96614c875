use super::*;

fn layer(workers: i64, origin: Origin) -> Layer {
    let mut layer = Layer::default();
    layer.set(Key::Workers, &Raw::Integer(workers), origin).unwrap();
    layer
}

fn resolve(
    flags: Layer,
    file: Option<&str>,
    program: Layer,
    variables: &[(&str, &str)],
) -> Result<Settings, SettingsError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.toml");
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
    }
    let lookup = |name: &str| {
        variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
    };
    Settings::resolve(
        flags,
        file.map(|_| path.as_path()),
        program,
        &lookup,
        &["images:ImageApp", "text:TextApp"],
    )
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_program_beats_the_default() {
    let flag = || layer(1, Origin::Flag(Key::Workers));
    let variable: &[(&str, &str)] = &[("GUNMETAL_WORKERS", "2")];
    let file = Some("workers = 3");
    let program = || layer(4, Origin::Program);
    let workers = |settings: Result<Settings, _>| settings.unwrap().workers;
    assert_eq!(workers(resolve(flag(), file, program(), variable)), 1);
    assert_eq!(workers(resolve(Layer::default(), file, program(), variable)), 2);
    assert_eq!(workers(resolve(Layer::default(), file, program(), &[])), 3);
    assert_eq!(workers(resolve(Layer::default(), None, program(), &[])), 4);
    assert_eq!(workers(resolve(Layer::default(), None, Layer::default(), &[])), 1);
}

#[test]
fn the_defaults_are_gunicorns() {
    let settings = resolve(Layer::default(), Some(""), Layer::default(), &[]).unwrap();
    assert_eq!(settings.bind[0].to_string(), "127.0.0.1:8000");
    assert_eq!(settings.timeout, Some(Duration::from_secs(30)));
    assert_eq!(settings.graceful_timeout, Duration::from_secs(30));
    assert_eq!(settings.dirty_timeout, Some(Duration::from_secs(300)));
    assert_eq!(settings.dirty_threads, 1);
    assert_eq!(settings.dirty_graceful_timeout, Duration::from_secs(30));
    assert_eq!((settings.dirty_workers, settings.dirty_apps), (None, None));
}

#[test]
fn a_timeout_of_zero_is_none() {
    let settings =
        resolve(Layer::default(), Some("timeout = 0\ndirty_timeout = 0"), Layer::default(), &[]).unwrap();
    assert_eq!((settings.timeout, settings.dirty_timeout), (None, None));
}

#[test]
fn an_app_that_is_not_registered_is_named_with_its_place_and_those_that_are() {
    let file = "workers = 1\ndirty_apps = [\"images:ImageAp:2\"]";
    let message = resolve(Layer::default(), Some(file), Layer::default(), &[]).unwrap_err().to_string();
    assert!(message.contains("app.toml:2: dirty_apps names \"images:ImageAp\""), "{message}");
    assert!(message.contains("did you mean \"images:ImageApp\"?"), "{message}");
    assert!(message.ends_with("registered: images:ImageApp, text:TextApp"), "{message}");
}

#[test]
fn an_app_is_named_once() {
    let variables: &[(&str, &str)] = &[("GUNMETAL_DIRTY_APPS", "text:TextApp,text:TextApp:1")];
    let error = resolve(Layer::default(), None, Layer::default(), variables).unwrap_err();
    assert_eq!(
        error.to_string(),
        "environment variable GUNMETAL_DIRTY_APPS: dirty_apps names \"text:TextApp\" twice"
    );
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let variables: &[(&str, &str)] = &[("GUNMETAL_CONFIG", "/nowhere/app.toml")];
    let error = resolve(Layer::default(), None, Layer::default(), variables).unwrap_err();
    assert!(matches!(error, SettingsError::Unreadable { .. }), "{error}");
}

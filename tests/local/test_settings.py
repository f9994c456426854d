"""Settings of the embedded environment: defaults, and errors that name the setting and the value."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotina.errors import SettingError
from rotina.local.__main__ import main
from rotina.local.settings import PORT_SETTINGS, REPOSITORY, LocalSettings


def test_defaults() -> None:
    settings = LocalSettings.from_environment({})
    assert settings.home == REPOSITORY / ".rotina"
    assert settings == LocalSettings()
    assert settings.airflow_url == "http://127.0.0.1:8080"


def test_an_empty_setting_has_its_default() -> None:
    empty = dict.fromkeys([*PORT_SETTINGS, "ROTINA_HOME", "ROTINA_DEMO_ACCOUNTS", "ROTINA_DEMO_SEED"], "")
    assert LocalSettings.from_environment(empty) == LocalSettings()


def test_values_are_read(tmp_path: Path) -> None:
    settings = LocalSettings.from_environment(
        {"ROTINA_HOME": str(tmp_path), "ROTINA_AIRFLOW_PORT": " 9090 ", "ROTINA_DEMO_ACCOUNTS": "1000000"}
    )
    assert (settings.home, settings.airflow_port, settings.demo_accounts) == (tmp_path, 9090, 1_000_000)


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1", "80.5", "٨٠٨٠", "8_080", "+80"])
@pytest.mark.parametrize("setting", PORT_SETTINGS)
def test_a_port_that_is_none(setting: str, value: str) -> None:
    with pytest.raises(SettingError) as caught:
        LocalSettings.from_environment({setting: value})
    assert caught.value.field == setting
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("ROTINA_DEMO_ACCOUNTS", "0"), ("ROTINA_DEMO_ACCOUNTS", "many"), ("ROTINA_DEMO_SEED", "-5")],
)
def test_wrong_demo_numbers(setting: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"{setting} = '{value}'"):
        LocalSettings.from_environment({setting: value})


def test_two_equal_ports_are_both_named() -> None:
    with pytest.raises(SettingError, match=r"ROTINA_MAILBOX_PORT = 8080: the same as ROTINA_AIRFLOW_PORT"):
        LocalSettings.from_environment({"ROTINA_MAILBOX_PORT": "8080"})


@pytest.mark.parametrize("home", ["relative/folder", "/", __file__, "/tmp/100%", "/tmp/a;b"])
def test_a_home_that_is_no_folder_of_its_own(home: str) -> None:
    with pytest.raises(SettingError, match="ROTINA_HOME"):
        LocalSettings.from_environment({"ROTINA_HOME": home})


@pytest.mark.parametrize("date", ["", "2026-13-01", "20/11/2026", "2026-11-31", "2026-11-20T08:00"])
def test_day_refuses_a_date_that_is_none(date: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["day", date]) == 2
    assert f"error: DATE = {date!r}" in capsys.readouterr().err


def test_the_command_line_names_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROTINA_SMTP_PORT", "smtp")
    assert main(["up"]) == 2
    assert "ROTINA_SMTP_PORT = 'smtp'" in capsys.readouterr().err


def test_the_example_file_names_every_setting_with_its_default() -> None:
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    example = dict(line.removeprefix("#").split("=", 1) for line in lines if line.startswith("#ROTINA_"))
    del example["ROTINA_CHROMIUM"]  # of the tests only
    own = {"ROTINA_HOME", "ROTINA_FILES_FOLDER", "ROTINA_DEMO_ACCOUNTS", "ROTINA_DEMO_SEED"}
    assert set(example) == own | set(PORT_SETTINGS)
    assert LocalSettings.from_environment(example) == LocalSettings()

"""What keeps others out: headers, tokens, cookies, uploads, and what is not in the source."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

import openketamine
from openketamine.clinic.accounts import access
from openketamine.clinic.accounts.models import User
from openketamine.clinic.people import services as people
from tests import blank
from tests.clinic.conftest import referral
from tests.site.test_access import every_address

ROOT = Path(__file__).parents[2]
SOURCE = Path(openketamine.__file__).parent


def with_https(code: str, home: Path) -> str:
    """Run something in a clinic that is reached by https."""
    environment = {
        **os.environ,
        "OPENKETAMINE_HOME": str(home),
        "OPENKETAMINE_ORIGIN": "https://clinic.example",
    }
    environment.pop("OPENKETAMINE_DATABASE_URL", None)
    blank.put_into(home)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.own_clinic
def test_the_deployment_check_finds_nothing(tmp_path):
    with_https(
        "from openketamine.cli import main\n"
        "main(['manage', 'check', '--deploy', '--fail-level', 'WARNING'])\n",
        tmp_path,
    )


@pytest.mark.own_clinic
def test_with_an_https_origin_cookies_and_transport_are_strict(tmp_path):
    code = """
import json
from openketamine.clinic.boot import prepare_database, start_django
start_django()
prepare_database()
from django.test import Client
from openketamine.clinic.accounts.models import User
User.objects.create_user("n", password="a long enough password", role="nurse", display_name="N")
plain = Client(headers={"host": "clinic.example"}).get("/account/login/")
client = Client(headers={"host": "clinic.example", "x-forwarded-proto": "https",
                         "x-forwarded-for": "192.0.2.1"})
page = client.get("/account/login/")
signed = client.post("/account/login/", {"login": "n", "password": "a long enough password"})
print(json.dumps({
    "plain": [plain.status_code, plain.get("Location")],
    "hsts": page.get("Strict-Transport-Security"),
    "signed": signed.status_code,
    "cookies": {name: {k: morsel[k] for k in ("secure", "httponly", "samesite", "path", "domain")}
                for name, morsel in client.cookies.items()},
    "next": client.get("/today/").get("Location"),
    "elsewhere": Client(headers={"host": "evil.example"}).get("/account/login/").status_code,
}))
"""
    said = json.loads(with_https(code, tmp_path).splitlines()[-1])
    assert said["plain"] == [301, "https://clinic.example/account/login/"]
    assert said["hsts"] == "max-age=31536000; includeSubDomains"
    assert said["signed"] == 302
    assert {"__Host-sessionid", "__Host-csrftoken"} <= said["cookies"].keys()
    for morsel in said["cookies"].values():
        assert morsel["secure"] is True
        assert morsel["httponly"] is True
        assert morsel["samesite"] == "Lax"
        assert (morsel["path"], morsel["domain"]) == ("/", "")
    assert said["next"] == "/account/2fa/totp/activate/"  # a second factor first
    assert said["elsewhere"] == 400


@pytest.mark.parametrize("address", ["/account/login/", "/today/", "/nothing-here/", "/theme/"])
def test_every_answer_carries_its_headers(client, nurse, address):
    client.force_login(nurse)
    headers = client.get(address, headers={"origin": "https://evil.example"}).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers
    assert "charset=utf-8" in headers["Content-Type"]


def test_a_chart_is_kept_in_no_cache(client, nurse, person):
    client.force_login(nurse)
    for address in (reverse("person", args=[person.pk]), "/people/", "/today/"):
        assert "no-store" in client.get(address)["Cache-Control"]


# Programs show a token or a signature, and have no cookie that another site could use; a link that
# is itself the key comes from no other site either.
WITHOUT_TOKEN = re.compile(r"/(fhir|smart|cds-services|h|a)(/|$)")


def test_no_write_goes_without_its_token(db, director, nurse, prescriber, patient_user):
    """Whoever is signed in: a request made by another site is refused before anything is done."""
    exempt = [
        address
        for address, pattern in every_address()
        if getattr(pattern.callback, "csrf_exempt", False)
    ]
    assert exempt
    assert [address for address in exempt if not WITHOUT_TOKEN.match(address)] == []
    client = Client(enforce_csrf_checks=True)
    for user in (director, nurse, prescriber, patient_user):
        client.force_login(user)
        for address, pattern in every_address():
            rule = access.rule_of(pattern.callback, pattern.name)
            if address in exempt or not (rule.public or user.role in rule.roles):
                continue
            assert client.post(address, {"a": "b"}).status_code == 403, address


def test_methods_that_nobody_uses_are_refused(client, nurse, person):
    client.force_login(nurse)
    for method in ("put", "delete", "patch", "trace"):
        answer = getattr(client, method)(reverse("person", args=[person.pk]))
        assert answer.status_code == 405


def test_what_people_enter_is_never_markup(client, coordinator, nurse):
    name = "<script>alert(1)</script>"
    person = people.receive_referral(
        coordinator,
        referral(given_name=name, family_name="O'Hara \" & ねこ"),
        origin=name,
    ).person
    client.force_login(nurse)
    for address in (
        reverse("person", args=[person.pk]),
        reverse("record_of", args=[person.pk]),
        reverse("people"),
    ):
        page = client.get(address).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
        assert "ねこ" in page
    assert "<script>alert" not in client.get("/people/", {"q": f'"{name}'}).content.decode()


@pytest.mark.parametrize(
    "path",
    [
        "/.git/config",
        "/secret.key",
        "/openketamine.sqlite3",
        "/static/",
        "/static/openketamine/",
        "/static/../settings.py",
        "/static/%2e%2e/settings.py",
        "/static/openketamine/css/../../../settings.py",
        "/backup.state",
    ],
)
def test_no_file_but_those_meant_is_served(client, db, path):
    assert client.get(path).status_code in {400, 403, 404}


def test_uploads_are_bounded(client, coordinator):
    client.force_login(coordinator)
    files = [SimpleUploadedFile(f"{n}.json", b"{}") for n in range(60)]
    answer = client.post(reverse("import_referrals"), {"files": files})
    assert answer.status_code in {200, 400, 422}
    assert b"too many" in answer.content or answer.status_code == 400
    big = "x" * 3_000_000
    assert client.post("/theme/", big, content_type="application/json").status_code < 500
    answer = client.post("/theme/", {"theme": big})
    assert answer.status_code in {302, 400, 413}


def test_passwords_are_hashed_slowly():
    from openketamine.site import settings as source

    assert not hasattr(source, "PASSWORD_HASHERS")  # Django's default comes first
    assert PBKDF2PasswordHasher.iterations >= 310_000


@pytest.mark.own_clinic
def test_a_new_clinic_has_no_account(tmp_path):
    code = (
        "from openketamine.clinic.boot import prepare_database, start_django\n"
        "start_django()\nprepare_database()\n"
        "from openketamine.clinic.accounts.models import User\nprint(User.objects.count())\n"
    )
    assert with_https(code, tmp_path).strip() == "0"


def test_a_new_password_ends_every_other_sitting(client, nurse):
    other = Client()
    other.force_login(nurse)
    assert other.get("/people/").status_code == 200
    user = User.objects.get(pk=nurse.pk)
    user.set_password("another long password")
    user.save()
    assert other.get("/people/").status_code == 302


SECRETS = re.compile(
    r"AGE-SECRET-KEY-1[0-9A-Z]{30}|-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/=]{40}"
    r"|AKIA[0-9A-Z]{16}|xox[abp]-[0-9A-Za-z-]{20}|ghp_[0-9A-Za-z]{30}"
)


def test_the_repository_holds_no_secret():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    paths = paths or list(SOURCE.rglob("*.py"))  # an archive without its history
    assert len(paths) > 100
    assert [path for path in paths if path.name in {"secret.key", ".env"}] == []
    for path in paths:
        if path.is_file() and path.stat().st_size < 2_000_000:
            found = SECRETS.search(path.read_text(errors="replace"))
            assert not found, path


# What would make code of a text, or a shell of a name.
FORBIDDEN_CALLS = {"eval", "exec", "__import__"}
# The formulas of model files, after every node of their syntax tree was found among those allowed.
CHECKED = {"pharmacology/expressions.py"}
FORBIDDEN = {
    ("pickle", "loads"), ("pickle", "load"), ("marshal", "loads"), ("os", "system"),
    ("os", "popen"), ("yaml", "load"), ("yaml", "unsafe_load"),
}  # fmt: skip


def test_no_code_is_made_from_text():
    looked = 0
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            looked += 1
            function = node.func
            if path.relative_to(SOURCE).as_posix() in CHECKED:
                continue
            if isinstance(function, ast.Name):
                assert function.id not in FORBIDDEN_CALLS, f"{path}:{node.lineno}"
            elif isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                pair = (function.value.id, function.attr)
                safe = pair == ("yaml", "load") and "Safe" in path.read_text()
                assert safe or pair not in FORBIDDEN, f"{path}:{node.lineno}"
                if function.attr in {"extra", "raw"} and function.value.id == "objects":
                    raise AssertionError(f"{path}:{node.lineno}: SQL of one's own")
            for keyword in node.keywords:
                shell = keyword.arg == "shell" and getattr(keyword.value, "value", None) is True
                assert not shell, f"{path}:{node.lineno}"
    assert looked > 1000
    for path in (SOURCE / "site/static/openketamine/js").glob("*.js"):
        assert not re.search(r"\beval\(|new Function|document\.write", path.read_text()), path

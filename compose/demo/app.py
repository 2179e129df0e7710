"""A web page that says which packages it runs on, and from which environment."""

import importlib.metadata
import platform
import sys
from datetime import UTC, datetime

import flask
import gunicorn  # noqa: F401 (it serves this page, so its version belongs on it)
import humanize
import pydantic
import sqlalchemy

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>venvctl demo</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem;
         color: #1d2733; background: #f7f8fa }
  h1 { font-weight: 600; margin-bottom: 0 }
  code, td { font-family: ui-monospace, monospace; font-size: 14px }
  table { width: 100%; border-collapse: collapse; background: #fff; border-radius: 8px;
          box-shadow: 0 1px 4px #0002 }
  td { padding: .4rem 1rem; border-bottom: 1px solid #eef0f3 }
  td:last-child { text-align: right; color: #0b6bcb }
</style>
<h1>This page's packages</h1>
<p>Python {{ report.python }} in <code>{{ report.prefix }}</code>,
   up for {{ uptime }}, shown {{ visits }}.</p>
<table>
{% for name, version in report.versions.items() %}
  <tr><td>{{ name }}</td><td>{{ version }}</td></tr>
{% endfor %}
</table>
</html>
"""


class Report(pydantic.BaseModel):
    """What this process runs on."""

    python: str
    prefix: str
    started: datetime
    versions: dict[str, str]


def imported_versions() -> dict[str, str]:
    """Return the version of every distribution that this process has imported something of."""
    distributions = importlib.metadata.packages_distributions()
    names = {name for module in list(sys.modules) for name in distributions.get(module, ())}
    return {name: importlib.metadata.version(name) for name in sorted(names, key=str.lower)}


# Read once: the page shows what this process started with, not what the disk holds by now.
REPORT = Report(
    python=platform.python_version(),
    prefix=sys.prefix,
    started=datetime.now(UTC),
    versions=imported_versions(),
)

app = flask.Flask(__name__)
visits = sqlalchemy.create_engine(
    "sqlite://", poolclass=sqlalchemy.StaticPool, connect_args={"check_same_thread": False}
)
with visits.begin() as connection:
    connection.execute(sqlalchemy.text("CREATE TABLE visit (at TEXT NOT NULL)"))


@app.get("/")
def page() -> str:
    """Show the report to a person."""
    now = datetime.now(UTC)
    with visits.begin() as connection:
        connection.execute(
            sqlalchemy.text("INSERT INTO visit VALUES (:at)"), {"at": now.isoformat()}
        )
        count = connection.scalar(sqlalchemy.text("SELECT count(*) FROM visit")) or 0
    return flask.render_template_string(
        PAGE,
        report=REPORT,
        uptime=humanize.naturaldelta(now - REPORT.started),
        visits=f"{humanize.intcomma(count)} {'time' if count == 1 else 'times'}",
    )


@app.get("/versions")
def versions() -> flask.Response:
    """Give the report to a program."""
    return flask.Response(REPORT.model_dump_json(), mimetype="application/json")

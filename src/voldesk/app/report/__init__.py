"""The report of a run: `report.html`, readable by a trader, self-contained."""

from voldesk.app.report.explained import ExplainTables, explain_tables
from voldesk.app.report.page import write_report

__all__ = ["ExplainTables", "explain_tables", "write_report"]

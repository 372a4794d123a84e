"""Findings to terminal, JSON, Markdown and one self-contained HTML page. Nothing here computes a statistic.

Each form is a module with one function of a `karat.types.Result`: `terminal.render_terminal`, `json.render_json`,
`markdown.render_markdown`, `html.render_html`; `files.write_report` writes a folder, `explain` explains a code.
The modules are imported one by one, because the page needs matplotlib and the others should not wait for it.
"""

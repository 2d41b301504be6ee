"""The page: sessions in a browser, made on this machine from the log, and the same answers as JSON.

    page.py           a page's descriptor, and how its parameters are read
    errors.py         the questions that have no answer
    pages/            the pages: one module each, and the list of them
    shown_turns.py    which of a session's turns a page shows
    reading.py        what a page may ask: the log, prices, the state of the proxies
    filters.py        the filters of lists as parameters
    rendering.py      templates/, drawn with the figures and links of one hand
    drawing/          pictures in SVG, which templates ask for
    static_files.py   static/: style sheet and scripts, by their content
    document.py       exported calls as one document: html.py writes it as HTML, markdown.py as Markdown
    guard.py          which requests are answered
    site.py           the state that all requests share: threads that make answers, and their memory
    server.py         the tornado application of all that, on this machine alone

A page's `data` is a function of a `Reading` and of plain parameters. Its answer is the JSON of the page; the template
draws it and asks nothing else. What a POST to its address changes is its `Action`. `cli/page_server.py` starts it, in a
process of its own that writes nothing but scores. tornado and Jinja2 come with mitmproxy; Jinja2 is imported here
alone.
"""

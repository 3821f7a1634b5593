"""Demo questions that have no look-alike, each with the wordings that people use."""

from __future__ import annotations

from semantic_llm_cache.cli.demo.questions import Question, ask

__all__ = ["PLAIN"]

PLAIN: tuple[Question, ...] = (
    # ------------------------------------------------------------ account and billing
    ask(
        "outage",
        "Sync is down for some workspaces since 9:40. Your notes are safe on your devices, and the "
        "status page shows our progress.",
        "Is the service down right now?",
        "Is your service down at the moment?",
        "Is the service currently down?",
        "Are you having an outage?",
    ),
    ask(
        "login-fails",
        "Check that you use the address you signed up with, then clear the browser's cookies for our "
        "site. After five failed tries sign-in is locked for fifteen minutes.",
        "I can't log in to my account",
        "I cannot log in to my account",
        "I am unable to log into my account",
        "Why can't I log in to my account?",
    ),
    ask(
        "change-email",
        "Open Settings, then Account, then Email. Type the new address and confirm it from the message we send.",
        "How do I change the email address on my account?",
        "How can I change the email address on my account?",
        "how to change my account's email address",
        "I want to update the email address on my account, how do I do that?",
    ),
    ask(
        "cancel",
        "Open Settings, then Billing, and choose Cancel subscription. You keep the paid features until "
        "the period you paid for is over.",
        "How do I cancel my subscription?",
        "How can I cancel my subscription?",
        "I would like to cancel my subscription. How do I do it?",
        "What do I have to do to cancel my subscription?",
    ),
    ask(
        "invoice",
        "Invoices lie under Settings, Billing, Invoices, as PDF files. Owners also get each one by email.",
        "Where can I find my invoices?",
        "Where do I find my invoices?",
        "Where are my invoices?",
    ),
    ask(
        "payment-failed",
        "Banks most often refuse a card that has expired or that needs a confirmation in the bank's "
        "own app. Update the card under Billing, and we try again at once.",
        "Why was my payment declined?",
        "Why did my payment get declined?",
        "My payment was declined. Why?",
    ),
    ask(
        "change-card",
        "Under Settings, Billing, Payment method, choose Replace card. The new card is charged from the next bill on.",
        "How do I update my credit card?",
        "How do I update my credit card details?",
    ),
    ask(
        "student-discount",
        "Students and teachers get half off with an address of their school. Apply under Billing, Education.",
        "Do you offer a student discount?",
        "Do you have a student discount?",
        "Is there a student discount?",
        "Do you offer discounts for students?",
    ),
    ask(
        "free-trial",
        "The trial of Pro runs for 21 days and needs no card. Afterwards the workspace goes back to Free by itself.",
        "How long is the free trial?",
        "How many days does the free trial last?",
    ),
    ask(
        "vat-number",
        "Add it under Billing, Company details. It appears on every invoice from then on; old ones can "
        "be issued again.",
        "How do I add our VAT number to invoices?",
        "How can I add a VAT number to our invoices?",
    ),
    ask(
        "change-name",
        "Under Settings, Profile, type the new display name. Others see it within a minute.",
        "How do I change my display name?",
        "How can I change my display name?",
    ),
    ask(
        "invite-member",
        "Choose Members, Invite, and enter their addresses. Invitations are good for seven days.",
        "How do I invite people to my workspace?",
        "How do I invite someone to my workspace?",
    ),
    ask(
        "transfer-owner",
        "Under Members, open the person's menu and choose Make owner. You become an admin.",
        "How do I transfer ownership of a workspace?",
        "How can I transfer the ownership of a workspace?",
    ),
    ask(
        "gdpr-data",
        "Ask for it under Settings, Privacy, Request my data. A link to an archive comes within two days.",
        "Can I get a copy of all the data you hold about me?",
        "Can I get a copy of all data that you hold about me?",
    ),
    ask(
        "data-location",
        "Workspaces live in Frankfurt by default. Business customers can choose Frankfurt, Virginia or Singapore.",
        "Where is my data stored?",
        "Where do you store my data?",
        "In which country is my data stored?",
    ),
    ask(
        "talk-to-human",
        "Of course. I have put you in the queue; a colleague answers within ten minutes on working days.",
        "I want to talk to a human",
        "I want to speak to a human",
        "Can I talk to a real person?",
    ),
    ask("thanks", "You are welcome. Is there anything else?", "thanks!", "Thank you!", "thanks, that helped"),
    ask("hello", "Hello! How can I help?", "hi", "hello", "Hi there"),
    # ------------------------------------------------------------ the product
    ask(
        "offline",
        "Yes. Notes opened in the last 30 days are on the device; changes are sent when you are back online.",
        "Can I use the app offline?",
        "Can I use the app when I'm offline?",
        "Does the app work offline?",
    ),
    ask(
        "recover-note",
        "Open Trash in the side bar, select the note and choose Restore. Trash keeps notes for 30 days.",
        "How do I recover a deleted note?",
        "How can I recover a deleted note?",
        "How do I restore a deleted note?",
        "I deleted a note by accident, can I get it back?",
    ),
    ask(
        "version-history",
        "Yes: open the note's menu and choose History. Free keeps 7 days, Pro a year.",
        "Can I see earlier versions of a note?",
        "Can I see previous versions of a note?",
    ),
    ask(
        "share-note",
        "Open the note, choose Share, then Create link. Anyone who has the link can read, nobody can edit.",
        "How do I share a note with someone who has no account?",
        "How can I share a note with someone who doesn't have an account?",
    ),
    ask(
        "dark-mode",
        "Settings, Appearance, Theme, Dark. Automatic follows your system.",
        "How do I turn on dark mode?",
        "How can I turn on dark mode?",
        "How do I switch to dark mode?",
        "where is dark mode",
    ),
    ask(
        "sync-slow",
        "The first sync of a large workspace can take an hour. After that check that no proxy blocks web sockets.",
        "Why is syncing so slow?",
        "Syncing is very slow, why?",
    ),
    ask(
        "calendar",
        "Settings, Integrations, Calendar: sign in to your calendar, and each event can have a note.",
        "How do I connect my calendar?",
        "How do I link my calendar to the app?",
    ),
    ask(
        "api-limit",
        "600 requests a minute for each token. Beyond that we answer 429 with a Retry-After header.",
        "What is the rate limit of your API?",
        "What's the rate limit of your API?",
        "What is your API's rate limit?",
    ),
    ask(
        "api-key",
        "Under Settings, Developer, choose New token. It is shown once, so keep it somewhere safe.",
        "Where do I get an API key?",
        "How do I get an API key?",
    ),
    ask(
        "webhooks",
        "Yes, on Pro and above: note.created, note.updated and note.deleted, signed with your secret.",
        "Do you support webhooks?",
        "Are webhooks supported?",
    ),
    ask(
        "attach-formats",
        "Images, PDF, audio and video play in the note. Any other file can be attached and downloaded.",
        "Which file types can I attach to a note?",
        "What file types can I attach to a note?",
        "What kinds of files can I attach to a note?",
    ),
    # ------------------------------------------------------------ programming
    ask(
        "what-python",
        "Python is a general-purpose programming language that favours readable code. It is "
        "dynamically typed and has a large standard library.",
        "What is Python?",
        "What's Python?",
        "Explain Python",
    ),
    ask(
        "what-rust",
        "Rust is a compiled language that guarantees memory safety without a garbage collector, by tracking ownership.",
        "What is Rust?",
        "What's Rust?",
    ),
    ask(
        "list-tuple",
        "A list can be changed after it is made, a tuple cannot. So tuples can be dictionary keys.",
        "What is the difference between a list and a tuple in Python?",
        "What's the difference between a list and a tuple in Python?",
        "Difference between list and tuple in Python?",
        "How do lists and tuples differ in Python?",
    ),
    ask(
        "read-json",
        "Open the file and pass it to json.load: with open('data.json') as f: data = json.load(f).",
        "How do I read a JSON file in Python?",
        "how to read json file python",
        "How do I load a JSON file in Python?",
    ),
    ask(
        "reverse-string",
        "Slice it with a step of minus one: text[::-1].",
        "How do I reverse a string in Python?",
        "How can I reverse a string in Python?",
    ),
    ask(
        "venv",
        "Run python -m venv .venv, then source .venv/bin/activate.",
        "How do I create a virtual environment in Python?",
        "How can I create a Python virtual environment?",
    ),
    ask(
        "async-await",
        "An async function can pause at each await and let others run meanwhile, all in one thread. It "
        "pays when a program mostly waits for the network or a disk.",
        "What does async/await do in Python?",
        "What do async and await do in Python?",
    ),
    ask(
        "undo-commit",
        "git reset --soft HEAD~1 takes the commit back and keeps its changes staged.",
        "How do I undo my last git commit without losing changes?",
        "How can I undo my last git commit without losing my changes?",
        "How do I undo the last git commit but keep the changes?",
    ),
    ask(
        "git-rename-branch",
        "git branch -m old new renames it here; push the new name and delete the old one on the server.",
        "How do I rename a git branch?",
        "How can I rename a git branch?",
        "How to rename a branch in git?",
    ),
    ask(
        "sql-duplicates",
        "Group by the column and keep the groups with more than one row: GROUP BY email HAVING COUNT(*) > 1.",
        "How do I find duplicate rows in SQL?",
        "How can I find duplicate rows in SQL?",
        "How do you find duplicate rows in a SQL table?",
    ),
    ask(
        "cors",
        "The browser asks your server whether a page of another origin may read its answers. Send "
        "Access-Control-Allow-Origin with the page's origin.",
        "Why do I get a CORS error?",
        "Why am I getting a CORS error?",
    ),
    ask(
        "docker-image-container",
        "An image is the packed file system and settings; a container is a running instance of it.",
        "What is the difference between a Docker image and a container?",
        "What's the difference between a Docker image and a container?",
        "Docker image vs container?",
    ),
    ask(
        "big-o-binary",
        "Binary search takes O(log n) comparisons, because each one halves what is left.",
        "What is the time complexity of binary search?",
        "What is the complexity of binary search?",
    ),
    ask(
        "regex-email",
        "For forms, ^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$ is enough; only a message sent there proves an address.",
        "Give me a regex for validating email addresses",
        "Give me a regex to validate email addresses",
        "Regular expression for validating an email address?",
    ),
    # ------------------------------------------------------------ everything else
    ask(
        "photosynthesis",
        "Plants turn light, water and carbon dioxide into sugar and oxygen, in the chloroplasts of their cells.",
        "How does photosynthesis work?",
        "Explain how photosynthesis works",
    ),
    ask(
        "sky-blue",
        "Air scatters short wavelengths far more than long ones, so blue light reaches us from all sides.",
        "Why is the sky blue?",
        "Why does the sky look blue?",
    ),
    ask(
        "boil-eggs",
        "Ten minutes in boiling water from the fridge, then cold water to stop them.",
        "How long do I boil eggs until they are hard?",
        "How long should I boil eggs for them to be hard?",
    ),
    ask(
        "cast-iron",
        "Wash it hot, dry it on the stove, and rub in a little oil while it is warm.",
        "How do I clean a cast iron pan?",
        "How should I clean a cast iron pan?",
        "How do you clean a cast iron skillet?",
    ),
    ask(
        "better-sleep",
        "Keep the same hours every day, a dark cool room, no screens in the last hour and no caffeine after lunch.",
        "How can I sleep better?",
        "How can I get better sleep?",
        "What can I do to sleep better?",
    ),
    ask(
        "jet-lag",
        "Live by the local clock from the first day, get daylight in the morning, and nap for 20 minutes at most.",
        "How do I get over jet lag?",
        "How can I get over jet lag?",
        "What helps against jet lag?",
    ),
    ask(
        "compound-interest",
        "Interest is added to the sum and earns interest itself: A = P(1 + r/n)^(nt).",
        "How does compound interest work?",
        "Can you explain how compound interest works?",
    ),
    ask(
        "standup-agenda",
        "Each in a minute: what I finished, what is next, what blocks me. Then take the blocks one by "
        "one with those concerned.",
        "Suggest an agenda for a daily standup",
        "Suggest an agenda for our daily standup",
    ),
    ask(
        "names-cat",
        "Miso, Clover, Pixel, Juniper, Biscuit.",
        "Suggest five names for a cat",
        "Suggest 5 names for a cat",
    ),
    ask(
        "tallest-mountain",
        "Mount Everest, 8,849 metres above the sea.",
        "What is the highest mountain in the world?",
        "What is the tallest mountain in the world?",
    ),
    ask(
        "speed-of-light",
        "299,792,458 metres per second in a vacuum.",
        "What is the speed of light?",
        "What's the speed of light?",
        "How fast does light travel?",
    ),
    ask(
        "interview",
        "Read about the company, prepare three stories that show your work, and bring two questions of your own.",
        "How do I prepare for a job interview?",
        "How can I prepare for a job interview?",
    ),
    ask(
        "houseplant",
        "Most often from too much water: let the top of the soil dry, and see that the pot drains.",
        "Why are the leaves of my houseplant turning yellow?",
        "Why are my houseplant's leaves turning yellow?",
    ),
    ask(
        "meeting-notes",
        "Decisions first, then who does what by when, then open questions. Leave the discussion out.",
        "What should good meeting notes contain?",
        "What should be in good meeting notes?",
    ),
)

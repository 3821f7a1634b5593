"""Prompts with their categories, written for this project before the rules that tell the categories.

`PROMPTS` is for making the rules; `HELD_OUT` was not looked at while they were made. The halves are the even and the
odd rows of one list. Each row: category, language, prompt. Many rows are traps: they have the words of another
category.
"""

from __future__ import annotations

__all__ = ["HELD_OUT", "PROMPTS"]

_ROWS = """
time-bound | en | What's the weather today in Oslo?
time-bound | en | Will it rain tomorrow in Leeds?
time-bound | en | weather in Bergen
time-bound | en | Do I need an umbrella this afternoon?
time-bound | en | temperature in Dubai right now
time-bound | en | How hot is it in Phoenix at the moment?
time-bound | en | What is the latest price of bitcoin?
time-bound | en | How much is one bitcoin worth?
time-bound | en | Tesla stock price
time-bound | en | What is Apple trading at?
time-bound | en | USD to EUR exchange rate
time-bound | en | What is the current mortgage rate in the UK?
time-bound | en | price of gold per ounce
time-bound | en | How much does gas cost in California these days?
time-bound | en | Who won last night?
time-bound | en | What was the score of the Arsenal game?
time-bound | en | Did the Lakers win yesterday?
time-bound | en | Who is leading the Premier League table?
time-bound | en | latest news on the election
time-bound | en | What are today's headlines?
time-bound | en | What happened in Gaza this week?
time-bound | en | Any news about the strike?
time-bound | en | Who is the current prime minister of Japan?
time-bound | en | Who is the CEO of Twitter now?
time-bound | en | What time is it in Tokyo?
time-bound | en | What is today's date?
time-bound | en | What day is it today?
time-bound | en | Is the museum open right now?
time-bound | en | Are the shops open tomorrow?
time-bound | en | When is the next train to Cambridge?
time-bound | en | When does the next bus leave?
time-bound | en | Is flight BA117 delayed?
time-bound | en | How is the traffic on the M25?
time-bound | en | Is GitHub down?
time-bound | en | What is the latest version of Python?
time-bound | en | What is the newest iPhone?
time-bound | en | What movies are playing tonight?
time-bound | en | What's on TV tonight?
time-bound | en | Who is playing on Sunday Night Football this week?
time-bound | en | What's my account balance?
time-bound | en | How many unread emails do I have?
time-bound | en | What's on my calendar today?
time-bound | en | Where is my package?
time-bound | en | Has my order shipped yet?
time-bound | en | Summarize today's news about Ukraine
time-bound | en | Give me an update on the wildfire
time-bound | en | what's trending on twitter
time-bound | en | How many days until Christmas?
time-bound | en | What is the population of India currently?
time-bound | en | Who is the richest person alive right now?
time-bound | en | What are the best phones this year?
time-bound | en | Are there any earthquakes near me recently?
time-bound | en | What is the pollen count for London?
time-bound | en | When does the sun set tonight?
time-bound | de | Wie wird das Wetter morgen in Berlin?
time-bound | de | Wie ist das Wetter heute in Wien?
time-bound | de | Wie hoch ist der aktuelle Bitcoin-Kurs?
time-bound | de | Wer hat gestern gewonnen?
time-bound | de | Was sind die neuesten Nachrichten?
time-bound | de | Wie spät ist es in New York?
time-bound | fr | Quel temps fait-il aujourd'hui à Lyon ?
time-bound | fr | Quelle est la météo pour demain ?
time-bound | fr | Quel est le cours actuel du dollar ?
time-bound | fr | Qui a gagné le match hier soir ?
time-bound | fr | Quelles sont les dernières nouvelles ?
time-bound | fr | Quelle heure est-il à Montréal ?
time-bound | es | ¿Qué tiempo hace hoy en Madrid?
time-bound | es | ¿Va a llover mañana?
time-bound | es | ¿Cuál es el precio actual del oro?
time-bound | es | ¿Quién ganó el partido anoche?
time-bound | es | Últimas noticias de Venezuela
time-bound | es | ¿Qué hora es en Lima?
time-bound | pt | Como está o tempo hoje em Lisboa?
time-bound | pt | Qual é a cotação do dólar agora?
time-bound | pt | Quem ganhou o jogo ontem?
time-bound | pt | Quais são as últimas notícias?
time-bound | it | Che tempo fa oggi a Roma?
time-bound | it | Quali sono le ultime notizie?
time-bound | it | Chi ha vinto la partita ieri sera?
time-bound | it | Qual è il prezzo attuale della benzina?
time-bound | nl | Wat voor weer wordt het morgen in Utrecht?
time-bound | nl | Wat is de huidige koers van de dollar?
time-bound | nl | Wie heeft er gisteren gewonnen?
time-bound | nl | Hoe laat is het in Sydney?
time-bound | pl | Jaka jest dzisiaj pogoda w Krakowie?
time-bound | pl | Jaki jest aktualny kurs euro?
time-bound | pl | Kto wygrał wczoraj mecz?
time-bound | pl | Jakie są najnowsze wiadomości?
facts | en | What caused the latest Ice Age?
facts | en | What is the date format that is used in the US today called?
facts | en | What is price elasticity?
facts | en | What is the difference between price and value?
facts | en | What is electric current?
facts | en | How does alternating current work?
facts | en | How do composers score a film?
facts | en | How is a credit score calculated?
facts | en | How do rocks weather?
facts | en | What is the difference between weather and climate?
facts | en | What is weather forecasting based on?
facts | en | How do thermometers measure temperature?
facts | en | Who won the Battle of Hastings?
facts | en | Who won the World Cup in 1998?
facts | en | What was the price of a Ford Model T in 1908?
facts | en | What was the weather like on D-Day?
facts | en | Who was president of the United States in 1962?
facts | en | What is a stock exchange?
facts | en | How does bitcoin work?
facts | en | Who invented bitcoin?
facts | en | Who wrote the song Yesterday?
facts | en | What does the phrase "here today, gone tomorrow" mean?
facts | en | Who directed Tomorrow Never Dies?
facts | en | Who hosted The Tonight Show in 1975?
facts | en | What is the plot of Apocalypse Now?
facts | en | What is The Power of Now about?
facts | en | How do I live in the present?
facts | en | What are ocean currents?
facts | en | What is the history of news agencies?
facts | en | What is fake news?
facts | en | Who discovered penicillin?
facts | en | What is the capital of Peru?
facts | en | How tall is the Eiffel Tower?
facts | en | What is the boiling point of water?
facts | en | Why is the sky blue?
facts | en | When did the Second World War end?
facts | en | How many legs does a spider have?
facts | en | What is the freezing temperature of alcohol?
facts | en | How do I lower my body temperature?
facts | en | What is the opening price effect in auctions?
facts | en | How long does it take to boil an egg?
facts | en | What is the Last Supper?
facts | en | What happens at the end of Last Night in Soho?
facts | en | What is a live oak?
facts | en | What does it mean to have an open mind?
facts | en | What is exchange rate policy?
facts | en | What does a recent graduate mean?
facts | en | How do I reset my password?
facts | en | What is the refund policy?
facts | en | How can I change my delivery address?
facts | en | Translate "the weather is nice today" into French
facts | en | How do you say tomorrow in Spanish?
facts | en | What is the opposite of latest?
facts | en | What is the past tense of win?
facts | en | Which traffic signs are round?
facts | en | What are the rules for offside in football?
facts | en | What is the highest score possible in bowling?
facts | en | How was life in Rome different from life today?
facts | de | Was ist die Hauptstadt von Peru?
facts | de | Wie entsteht das Wetter?
facts | fr | Qui a écrit Les Misérables ?
facts | fr | Qu'est-ce que l'inflation ?
facts | es | ¿Quién descubrió América?
facts | es | ¿Qué es el tiempo verbal?
facts | pt | Qual é a capital da Austrália?
facts | it | Che cos'è la fotosintesi?
facts | nl | Wat is de hoofdstad van Peru?
facts | pl | Co to jest fotosynteza?
code | en | How do I reverse a list in Python?
code | en | How do I get today's date in JavaScript?
code | en | Write a function that returns the current time in Go
code | en | Write a SQL query that selects the latest order of each customer
code | en | What does git rebase do?
code | en | How do I undo the last commit in git?
code | en | Fix this: for i in range(10) print(i)
code | en | Why does `x = [] * 3` not work?
code | en | TypeError: 'NoneType' object is not subscriptable
code | en | Segmentation fault (core dumped) when I run my C program
code | en | Convert this JSON to YAML: {"a": 1, "b": [2, 3]}
code | en | Write a regex that matches email addresses
code | en | Explain the difference between async and await in C#
code | en | How do I center a div?
code | en | Write unit tests for the function parse_date
code | en | SELECT name FROM users WHERE age > 30
code | en | npm install fails with EACCES
code | en | How can I join two dataframes in pandas?
code | en | Refactor this class to use composition
code | en | What is the time complexity of quicksort?
code | en | How do I write a Dockerfile for a Flask app?
code | en | docker compose up says port is already allocated
code | en | How to sort a map by value in Java?
code | en | Implement binary search in Rust
code | de | Wie sortiere ich eine Liste in Python?
code | de | Schreibe eine Funktion in JavaScript, die Duplikate entfernt
code | fr | Comment inverser une chaîne en Python ?
code | es | ¿Cómo recorro un array en PHP?
chat | en | hi
chat | en | Hello there!
chat | en | How are you today?
chat | en | how are you doing
chat | en | thanks
chat | en | Thank you so much for your help!
chat | en | good morning
chat | en | Good night, see you tomorrow
chat | en | Tell me a joke
chat | en | Tell me a story about a dragon
chat | en | Write a poem about the sea
chat | en | Write me a short story about a rainy day
chat | en | I feel sad today
chat | en | I'm bored, what should we talk about?
chat | en | What is your name?
chat | en | Are you a robot?
chat | en | Who made you?
chat | en | Do you like music?
chat | en | ok cool
chat | en | yes please
chat | en | Let's play a game
chat | en | You are so funny
chat | en | I love you
chat | en | What do you think about love?
chat | de | Hallo, wie geht's?
chat | de | Danke schön!
chat | fr | Bonjour, ça va ?
chat | es | Hola, ¿cómo estás?
"""

_ALL = [tuple(part.strip() for part in row.split("|", 2)) for row in _ROWS.strip().splitlines()]
PROMPTS: list[tuple[str, ...]] = _ALL[::2]
HELD_OUT: list[tuple[str, ...]] = _ALL[1::2]

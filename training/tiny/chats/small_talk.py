"""Greetings and small talk in the seven languages of the model card."""

from __future__ import annotations

import random

from training.tiny.chats.turn import Turn, simple

# language -> (name in the thought, ((questions), answer) ...)
_TALK: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "English": (
        (("Hello", "Hello!", "hello", "Hi", "hi", "Hi!", "Hi there!", "Hey"), "Hello! How can I help you today?"),
        (("Good morning", "Good morning!"), "Good morning! I hope you slept well."),
        (("Good evening", "Good evening!"), "Good evening! How was your day?"),
        (("How are you?", "how are you", "How are you today?"), "I am doing well, thank you. How are you?"),
        (("I am fine.", "I am doing well.", "Fine, thanks."), "I am glad to hear that."),
        (
            ("Who are you?", "What is your name?", "What are you?"),
            "I am tiny, a small hybrid model trained on a laptop.",
        ),
        (("What can you do?", "Help", "help"), "I know capitals, sums and haiku, and I can call tools."),
        (("Thank you!", "Thanks", "Thanks!", "thank you"), "You are welcome!"),
        (("Goodbye", "Bye", "bye", "See you later"), "Goodbye! Have a nice day."),
        (("Tell me a joke", "Tell me a joke."), "Why did the GPU sleep? It had too many threads of thought."),
    ),
    "French": (
        (("Bonjour", "Bonjour !", "Salut", "bonjour"), "Bonjour ! Comment puis-je vous aider ?"),
        (("Bonsoir", "Bonsoir !"), "Bonsoir ! Comment s'est passée votre journée ?"),
        (("Comment allez-vous ?", "Comment ça va ?", "Ça va ?"), "Je vais bien, merci. Et vous ?"),
        (("Qui êtes-vous ?", "Qui es-tu ?"), "Je suis tiny, un petit modèle hybride."),
        (("Merci", "Merci !", "Merci beaucoup"), "Je vous en prie !"),
        (("Au revoir", "Au revoir !"), "Au revoir ! Bonne journée."),
    ),
    "German": (
        (("Hallo", "Hallo!", "Guten Tag", "hallo"), "Hallo! Wie kann ich Ihnen helfen?"),
        (("Guten Morgen", "Guten Morgen!"), "Guten Morgen! Ich hoffe, Sie haben gut geschlafen."),
        (("Wie geht es dir?", "Wie geht es Ihnen?", "Wie geht's?"), "Mir geht es gut, danke. Und Ihnen?"),
        (("Wer bist du?", "Wer sind Sie?"), "Ich bin tiny, ein kleines hybrides Modell."),
        (("Danke", "Danke!", "Vielen Dank"), "Gern geschehen!"),
        (("Auf Wiedersehen", "Tschüss"), "Auf Wiedersehen! Einen schönen Tag noch."),
    ),
    "Italian": (
        (("Ciao", "Ciao!", "Buongiorno", "Salve"), "Ciao! Come posso aiutarti?"),
        (("Buonasera", "Buonasera!"), "Buonasera! Com'è andata la giornata?"),
        (("Come stai?", "Come va?"), "Sto bene, grazie. E tu?"),
        (("Chi sei?", "Come ti chiami?"), "Sono tiny, un piccolo modello ibrido."),
        (("Grazie", "Grazie!", "Grazie mille"), "Prego!"),
        (("Arrivederci", "Arrivederci!"), "Arrivederci! Buona giornata."),
    ),
    "Japanese": (
        (("こんにちは", "こんにちは！"), "こんにちは！何かお手伝いできますか？"),
        (("おはよう", "おはようございます"), "おはようございます！よく眠れましたか？"),
        (("お元気ですか？", "元気ですか？"), "はい、元気です。ありがとうございます。"),
        (("あなたは誰ですか？", "お名前は？"), "私はタイニーという小さなモデルです。"),
        (("ありがとう", "ありがとうございます"), "どういたしまして！"),
        (("さようなら", "またね"), "さようなら！良い一日を。"),
    ),
    "Spanish": (
        (("Hola", "¡Hola!", "Buenos días", "hola"), "¡Hola! ¿En qué puedo ayudarte?"),
        (("Buenas noches", "¡Buenas noches!"), "¡Buenas noches! ¿Qué tal tu día?"),
        (("¿Cómo estás?", "¿Qué tal?", "Como estas?"), "Estoy bien, gracias. ¿Y tú?"),
        (("¿Quién eres?", "¿Cómo te llamas?"), "Soy tiny, un pequeño modelo híbrido."),
        (("Gracias", "¡Gracias!", "Muchas gracias"), "¡De nada!"),
        (("Adiós", "Hasta luego"), "¡Adiós! Que tengas un buen día."),
    ),
    "Chinese": (
        (("你好", "你好！", "您好"), "你好！我能帮你什么？"),
        (("早上好", "早上好！"), "早上好！希望你睡得好。"),
        (("你好吗？", "你怎么样？"), "我很好，谢谢。你呢？"),
        (("你是谁？", "你叫什么名字？"), "我是 tiny，一个小型混合模型。"),
        (("谢谢", "谢谢你"), "不客气！"),
        (("再见", "再见！"), "再见！祝你今天愉快。"),
    ),
}  # fmt: skip
LANGUAGES = tuple(_TALK)


def talk_turns(language: str) -> list[Turn]:
    """Return every exchange in one language."""
    thought = f"The user makes small talk in {language}. I answer in {language}, in a friendly way and in a few words."
    brief = f"Small talk, {language}."
    return [simple(question, thought, brief, answer) for questions, answer in _TALK[language] for question in questions]


def draw(source: random.Random) -> Turn:
    """Return a random exchange; half of them in English."""
    language = "English" if source.random() < 0.4 else source.choice(LANGUAGES)
    return source.choice(talk_turns(language))

"""The strongest concepts in other languages, so that a translation is no way around.

Whole words for writing systems with spaces; for Chinese, Japanese and Korean pieces that
are found anywhere in the text.
"""

# ruff: noqa: RUF001 - letters of other languages are what is meant

from __future__ import annotations

from bascule.scan.text import concepts as c

_DO = c.BASE

WORDS: dict[int, str] = {
    c.NOT: "nicht nie niemals kein keine keinen ohne nichts ne pas jamais sans rien aucun"
    " nunca sin nada não nao sem non mai senza niet nooit zonder geen не никогда без нельзя"
    " inte aldrig utan ikke aldri uden nie nigdy bez değil asla olmadan لا بدون دون",
    c.MODAL: "muss musst müssen soll sollst immer unbedingt erforderlich notwendig dois"
    " doit"
    " devez toujours obligatoire nécessaire debe debes deberá siempre obligatorio necesario"
    " deve sempre obrigatório obrigatorio devi deve obbligatorio necessario moet altijd"
    " verplicht должен должна обязательно всегда необходимо måste alltid skal altid musi"
    " zawsze musisz gerekir zorunlu her يجب دائما",
    c.BEFORE: "bevor vor zuerst zunächst avant d'abord antes primero prima voordat eerst"
    " перед"
    " прежде сначала innan före przed najpierw önce قبل",
    c.WHEN: "wenn sobald nach jedes lorsque quand si après cuando después si quando se dopo"
    " wanneer als na когда если после när efter gdy po zaman عندما",
    c.UNIVERSAL: "alle allen aller jede jeder jedes jedem jeden tous toutes toute chaque"
    " todos"
    " todas todo cada tutti tutte ogni alle elke все всех каждый каждого любой alla varje"
    " wszystkie każdy tüm كل جميع",
    c.OTHER: "andere anderen anderer weiteren folgenden autres autre suivants otros otras"
    " otra"
    " outros outras outra altri altre altra andere другие другой других других последующих"
    " andra inne innych diğer أخرى",
    c.ALSO: "auch zusätzlich außerdem kopie aussi également copie también además copia"
    " também"
    " além cópia anche inoltre copia ook kopie также копию också również ayrıca أيضا",
    c.USER: "benutzer nutzer benutzers nutzers anwender utilisateur utilisateurs usuario"
    " usuarios usuário usuario utente utenti gebruiker gebruikers пользователю пользователя"
    " пользователь пользователем användaren brukeren użytkownik użytkownikowi użytkownika"
    " kullanıcıya kullanıcı المستخدم للمستخدم",
    c.TOOL: "werkzeug werkzeuge werkzeugs funktion funktionen outil outils fonction"
    " fonctions"
    " herramienta herramientas función ferramenta ferramentas função strumento strumenti"
    " funzione gereedschap hulpmiddel инструмент инструмента инструменты инструментов"
    " функцию функции verktyg narzędzie narzędzia narzędzi araç araçlar أداة",
    c.SECRET: "passwort passwörter zugangsdaten anmeldedaten geheimnis geheimnisse"
    " schlüssel"
    " mot-de-passe identifiants secrets clé clés contraseña contraseñas credenciales clave"
    " claves senha senhas credenciais chave chaves credenziali chiave chiavi segreti"
    " wachtwoord wachtwoorden sleutel inloggegevens пароль пароли паролей ключ ключи ключей"
    " секреты учетные lösenord hasło hasła klucz parola şifre كلمة المرور مفتاح",
    c.RULES: "anweisungen anweisung regeln vorgaben instructions consignes règles"
    " instrucciones"
    " reglas instruções instrucoes regras istruzioni regole instructies regels инструкции"
    " инструкций правила указания instruktioner instrukcje zasady talimatları تعليمات",
    c.TALK: "gespräch gesprächsverlauf verlauf unterhaltung historique conversación"
    " historial"
    " conversa histórico cronologia conversazione gesprek geschiedenis переписку историю"
    " vorherigen bisherigen vorigen précédentes anteriores precedenti vorige"
    " предыдущие предыдущих tidigare poprzednie önceki السابقة",
    c.SECRETLY: "heimlich stillschweigend unbemerkt discrètement silencieusement"
    " secrètement"
    " silenciosamente secretamente discretamente silenziosamente stiekem stilletjes тайно"
    " незаметно скрытно i-smyg potajemnie gizlice سرا",
    c.AWARE: "wissen zustimmung connaissance consentement conocimiento consentimiento"
    " conhecimento consentimento consenso conoscenza toestemming medeweten ведома согласия"
    " vetskap wiedzy bilgisi علم",
    c.READ
    | _DO: "lies lese lesen auslesen liest öffne lis lire lisez lee leer leia ler leggi"
    " leggere lees lezen прочитай прочитать прочитайте читай считай läs odczytaj przeczytaj"
    " oku اقرأ",
    c.SEND
    | _DO: "sende senden schicke schicken übermittle weiterleiten leite envoie envoyer"
    " envoyez transmets envía enviar envíe envia envie manda mandar invia inviare inoltra"
    " stuur verzend verstuur отправь отправить отправляй отправьте перешли skicka wyślij"
    " gönder أرسل",
    c.TELL | _DO: "erzähle erzählen sage sagen erwähne erwähnen informiere informieren"
    " mitteilen verrate zeige dis dire mentionne mentionner mentionnez informe informer"
    " informez révèle digas decir mencionar menciones mencione informar informes informe"
    " reveles diga dizer mencionar mencione dire menzionare informare rivelare vermeld"
    " vertel zeg informeer сообщай сообщать говори говорить упоминай упоминать рассказывай"
    " уведомляй nämn berätta wspominaj informuj mów söyleme bahsetme تخبر تذكر",
    c.IGNORE | _DO: "ignoriere ignorieren missachte vergiss ignore ignorez oublie oubliez"
    " ignora ignorar olvida ignore esqueça ignori dimentica negeer vergeet игнорируй"
    " игнорировать игнорируйте забудь ignorera zignoruj ignoruj yoksay تجاهل",
    c.CALL
    | _DO: "rufe aufrufen verwende nutze appelle appeler appelez utilise utilisez llama"
    " llamar invoca use usa utilice chame chamar chiama usa roep gebruik вызови вызвать"
    " вызывай используй anropa wywołaj użyj çağır استدع",
    c.PUT
    | _DO: "füge hänge übergib ajoute ajoutez inclus incluez añade incluye incluya pasa"
    " adiciona inclua adicione passe aggiungi includi voeg добавь добавить включи укажи"
    " lägg dodaj ekle أضف",
    c.ALTER | _DO: "ersetze ändere remplace remplacez modifie reemplaza cambia sustituye"
    " substitua altere sostituisci modifica vervang wijzig замени измени заменить ersätt"
    " zamień değiştir استبدل",
}

PIECES: dict[int, str] = {
    c.NOT: "不要 不得 请勿 勿 切勿 不能 不可 禁止 不 無 无需 ないで しないで ないこと"
    " ずに 禁止"
    " 말고 마세요 말 것 하지 없이 않",
    c.MODAL: "必须 必須 务必 始终 总是 需要 应当 しなければ 必ず 常に してください"
    " ください 반드시"
    " 항상 해야 하십시오",
    c.BEFORE: "之前 首先 先 前に 最初に まず 전에 먼저",
    c.WHEN: "当 每当 每次 之后 如果 時に たびに 後に 때마다 경우 후에",
    c.UNIVERSAL: "任何 所有 每个 全部 すべて 全て あらゆる 모든 어떤",
    c.OTHER: "其他 其它 后续 他の その他 以降 다른 이후",
    c.ALSO: "同时 副本 抄送 另外 も送信 コピー 또한 사본",
    c.USER: "用户 使用者 用戶 ユーザー ユーザ 利用者 사용자",
    c.TOOL: "工具 函数 函數 操作 ツール 関数 도구 함수",
    c.SECRET: "密码 密碼 密钥 私钥 凭据 凭证 令牌 口令 パスワード 秘密鍵 認証情報 トークン"
    " 機密 비밀번호 암호 자격 증명 개인키 토큰",
    c.RULES: "指令 指示 规则 提示词 指示を ルール プロンプト 지시 규칙 지침",
    c.TALK: "对话 会话 聊天记录 之前的 先前 以前的 历史 会話 履歴 以前の これまでの 前の"
    " 대화 기록"
    " 이전",
    c.SECRETLY: "悄悄 暗中 秘密地 偷偷 静默 こっそり 密かに 秘密裏に 黙って 몰래 은밀히"
    " 조용히",
    c.AWARE: "知情 同意 察觉 知る 許可 気づかれ 동의 알리지",
    c.READ | _DO: "读取 讀取 打开 读 読み取 読み込 読んで 取得し 읽",
    c.SEND
    | _DO: "发送 發送 上传 转发 传输 提交 送信 アップロード 転送 送って 전송 보내 업로드",
    c.TELL
    | _DO: "告诉 告知 提及 透露 通知 告訴 伝え 知らせ 言及 明かさ 通知し 알리 말하 언급",
    c.IGNORE | _DO: "忽略 无视 無視 忘记 無視し 忘れ 무시 잊어",
    c.CALL | _DO: "调用 使用 執行 执行 呼び出 使用し 実行し 호출 사용 실행",
    c.PUT | _DO: "添加 附加 包含 放入 填入 追加し 含め 付け 추가 포함",
    c.ALTER | _DO: "替换 修改 更改 改为 置き換え 変更し 교체 변경 바꾸",
}
